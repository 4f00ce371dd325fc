"""Every process below this one: adopted when its parent goes, looked at, and ended by its number.

A peer's own start scripts leave their processes behind; nothing of a run may outlive it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ADOPTS_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
EVERY = 0.1
TICKS = os.sysconf("SC_CLK_TCK")
STATE, PARENT, TIMES = 0, 1, slice(11, 15)


@contextmanager
def nothing_left(patience: float = 5.0) -> Iterator[None]:
    """Whatever is started inside is ended at the end, also after an error or a SIGTERM."""
    ctypes.CDLL(None).prctl(ADOPTS_ORPHANS, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    try:
        yield
    finally:
        end_all(patience)


def tree(root: int) -> dict[int, list[str]]:
    """The process and all that descend from it: what /proc/PID/stat says after the name."""
    every = _every()
    children: dict[int, list[int]] = {}
    for pid, fields in every.items():
        children.setdefault(int(fields[PARENT]), []).append(pid)
    found, waiting = {}, [root] if root in every else []
    while waiting:
        pid = waiting.pop()
        found[pid] = every[pid]
        waiting += children.get(pid, [])
    return found


def seconds(fields: list[str]) -> float:
    """CPU time of a process and of all its children that have ended, and of theirs."""
    return sum(int(one) for one in fields[TIMES]) / TICKS


def end_all(patience: float) -> None:
    """End all processes below this one: asked first, then without asking."""
    begun, told = time.monotonic(), set()
    while living := _living():
        late = time.monotonic() - begun > patience
        for pid in living if late else living - told:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        told |= living
        time.sleep(EVERY)


def _every() -> dict[int, list[str]]:
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):
                text = Path(entry.path, "stat").read_text("ascii", "replace")
                found[int(entry.name)] = text.rpartition(")")[2].split()
    return found


def _living() -> set[int]:
    """All below this process but those that have ended; its own ended ones are buried."""
    below = tree(os.getpid())
    del below[os.getpid()]
    for pid, fields in below.items():
        if fields[STATE] == "Z" and int(fields[PARENT]) == os.getpid():
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
    return {pid for pid, fields in below.items() if fields[STATE] != "Z"}
