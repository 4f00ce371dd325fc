"""What each kind of process of the deployed system costs: CPU seconds and memory, from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from processes import seconds, tree

KB = 1024 / 1e6
COORDINATOR = "coordinator"
# A word of the command line tells a process's kind; the first that fits.
KINDS = {
    "flows.worker.party_process": "sessions",
    "flows.worker.coordinator_process": COORDINATOR,
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


def census() -> dict[str, Cost]:
    """What each kind of process below this one has cost by now."""
    found: dict[str, Cost] = {}
    below = tree(os.getpid())
    del below[os.getpid()]
    for pid, fields in below.items():
        with suppress(FileNotFoundError, ProcessLookupError):
            sizes = dict(_sizes(pid))
            cost = found.setdefault(kind_of(pid), Cost())
            cost.count += 1
            cost.seconds += seconds(fields)
            cost.resident += sizes.get("VmRSS", 0.0)
            cost.peak = max(cost.peak, sizes.get("VmHWM", 0.0))
    return found


def pids_of(kind: str) -> list[int]:
    """The processes of a kind below this one, the oldest first."""
    found = []
    for pid in sorted(tree(os.getpid())):
        with suppress(FileNotFoundError, ProcessLookupError):
            if kind_of(pid) == kind:
                found.append(pid)
    return found


def kind_of(pid: int) -> str:
    """What a process is, by its command line."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    return next((kind for word, kind in KINDS.items() if word in words), "others")


def spent(before: Mapping[str, Cost], after: Mapping[str, Cost]) -> dict[str, float]:
    """CPU seconds between two looks, by kind, the dearest first."""
    found = {kind: cost.seconds - before.get(kind, Cost()).seconds for kind, cost in after.items()}
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def _sizes(pid: int) -> Iterator[tuple[str, float]]:
    """Memory sizes of a process in MB."""
    for line in Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines():
        if line.startswith(("VmRSS:", "VmHWM:")):
            name, value, _ = line.split()
            yield name.rstrip(":"), int(value) * KB
