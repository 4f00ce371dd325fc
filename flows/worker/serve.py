"""A worker as a program: works until SIGTERM or Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from flows.worker.job import Post
from flows.worker.pool_worker import PoolWorker
from flows.worker.runner import say


def serve(post: Post) -> None:
    """Work until SIGTERM or Ctrl-C."""
    with _stopped_by_signal() as stopped:
        PoolWorker(post, say, stopped, time.monotonic).work()


@contextlib.contextmanager
def _stopped_by_signal() -> Iterator[threading.Event]:
    stopped = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        stopped.set()

    before = {one: signal.signal(one, stop) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopped
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
