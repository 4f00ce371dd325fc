"""All processes that descend from this one: what each kind has cost, and how all of them are ended.

A hub leaves its keeper behind when its command returns; `adopt_orphans` makes such processes this
one's children, so that they are counted, and ended whatever happens.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
TICKS = os.sysconf("SC_CLK_TCK")
# A word of the command line tells a process's kind; the first that fits.
KINDS = {
    "flows.worker.party_process": "sessions",
    "flows.worker.coordinator_process": "coordinator",
    "flows.worker.coordinator": "hub's worker",
    "flows.hub.prefect_service": "Prefect server",
    "flows.hub.keeper": "keeper",
    "mlflow": "MLflow",
    "mlflow.server.fastapi_app:app": "MLflow",
    "mini": "SeaweedFS storage",
    "s3": "SeaweedFS door",
    "party": "workers",
}


@dataclass
class Cost:
    """Of one kind: how many processes, CPU seconds, resident MB, the highest of a process in MB."""

    count: int = 0
    seconds: float = 0.0
    resident: float = 0.0
    peak: float = 0.0


def adopt_orphans() -> None:
    """Let processes whose parent has ended become children of this one."""
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError("prctl: orphans cannot be adopted here")


def descendants() -> list[int]:
    """All processes below this one."""
    found, waiting = [], [os.getpid()]
    while waiting:
        pid = waiting.pop()
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                below = [int(one) for one in path.read_text("ascii").split()]
            except (FileNotFoundError, ProcessLookupError):
                continue
            found += below
            waiting += below
    return found


def census() -> dict[str, Cost]:
    """What each kind of process below this one has cost by now."""
    found: dict[str, Cost] = {}
    for pid in descendants():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
            status = Path(f"/proc/{pid}/status").read_text("utf-8")
        except (FileNotFoundError, ProcessLookupError):
            continue
        cost = found.setdefault(kind_of(words), Cost())
        cost.count += 1
        cost.seconds += (int(fields[11]) + int(fields[12])) / TICKS
        sizes = dict(_sizes(status))
        cost.resident += sizes.get("VmRSS", 0.0)
        cost.peak = max(cost.peak, sizes.get("VmHWM", 0.0))
    return found


def kind_of(words: list[str]) -> str:
    """What a process is, by its command line."""
    return next((kind for word, kind in KINDS.items() if word in words), "others")


def spent(before: Mapping[str, Cost], after: Mapping[str, Cost]) -> dict[str, float]:
    """CPU seconds between two looks, by kind, the dearest first."""
    found = {kind: cost.seconds - before.get(kind, Cost()).seconds for kind, cost in after.items()}
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def end_all(patience: float = 10.0) -> None:
    """Kill what still descends from this process, until nothing does."""
    limit = time.monotonic() + patience
    while (left := descendants()) and time.monotonic() < limit:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        _reap()
        time.sleep(0.05)


def _reap() -> None:
    """Take leave of children that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _sizes(status: str) -> Iterator[tuple[str, float]]:
    """Memory sizes of a process in MB."""
    for line in status.splitlines():
        if line.startswith(("VmRSS:", "VmHWM:")):
            name, value, _ = line.split()
            yield name.rstrip(":"), int(value) / 1024 * 1.048576
