"""One command at a time for each seat of a run: a second one is told, and touches nothing."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from fedcore.errors import InputError
from tasks.seat import Seat

HELD = frozenset({errno.EWOULDBLOCK, errno.EACCES})


@contextlib.contextmanager
def held(seats: Iterable[Seat]) -> Iterator[None]:
    """Hold all `seats` for this process alone; `InputError` when another has one of them.

    The system lets go when the process ends, however it ends; processes that it starts do not
    inherit the lock.
    """
    with contextlib.ExitStack() as stack:
        for seat in seats:
            path = seat.path.with_suffix(".lock")
            stack.enter_context(hold(path, _sentence(seat, path)))
        yield


@contextlib.contextmanager
def hold(path: Path, taken: str) -> Iterator[None]:
    """Hold the lock file at `path` as `held` does; `InputError(taken)` when another has it."""
    descriptor = _take(path, taken)
    try:
        yield
    finally:
        os.close(descriptor)


def _take(path: Path, taken: str) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as broken:
        remedy = "make room there or choose another folder"
        raise InputError(f"{path}: cannot be written ({broken.strerror}): {remedy}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as refused:
        # A file system without locks: a second command goes unnoticed, a first one must work.
        if refused.errno in HELD:
            os.close(descriptor)
            raise InputError(taken) from None
    return descriptor


def _sentence(seat: Seat, path: Path) -> str:
    output = path.parents[3]
    return (
        f"{output}: {seat.name} of run {seat.run} is in training here already: wait for that "
        "command, stop it, or choose another --output or --run"
    )
