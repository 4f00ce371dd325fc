"""Fetching ahead: while one update is checked and added, the next is already on its way."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

T = TypeVar("T")


def one_ahead(jobs: Iterable[Callable[[], T]]) -> Iterator[Future[T]]:
    """What comes of each job, in order; the job after it has begun by then.

    So at most two outcomes wait at a time. Whoever stops asking leaves the next job to itself: its
    thread ends with the process, because it may wait for an exchange that is away.
    """
    coming: deque[Future[T]] = deque()
    for job in jobs:
        coming.append(_begun(job))
        if len(coming) > 1:
            yield coming.popleft()
    yield from coming


def _begun(job: Callable[[], T]) -> Future[T]:
    outcome: Future[T] = Future()
    threading.Thread(target=_do, args=(job, outcome), daemon=True, name="fetch-ahead").start()
    return outcome


def _do(job: Callable[[], T], outcome: Future[T]) -> None:
    with contextlib.ExitStack() as stack:
        stack.push(partial(_hand_over, outcome))
        outcome.set_result(job())


def _hand_over(outcome: Future[T], _: object, failed: BaseException | None, __: object) -> bool:
    """Whatever ends a job early is raised where its outcome is asked for, not in its thread."""
    if failed is not None:
        outcome.set_exception(failed)
    return True
