"""Patience: a store that waits for an unreachable exchange to come back, for as long as it takes.

Because every object is written once, an attempt whose answer was lost can simply be made again.
A full disk on this machine, while an object comes down, is waited out in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from fedcore.errors import NoRoom, Unreachable
from fedcore.exchange.store import Busy, ObjectStore

T = TypeVar("T")


class Reconnecting:
    """An `ObjectStore` around another one; `Unreachable` and `NoRoom` are waited out, no more."""

    own = None

    def __init__(
        self,
        store: ObjectStore,
        interval: float,
        on_wait: Callable[[str, float], None],
        pause: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        """Try again every `interval` seconds (or as asked) by `pause`, which may raise to give up.

        `on_wait` hears the reason and the seconds that the exchange has been away by `clock`,
        before each pause.
        """
        self._store, self._interval = store, interval
        self._on_wait, self._pause, self._clock = on_wait, pause, clock

    def prepare(self) -> None:
        """See `ObjectStore`."""
        self._insist(self._store.prepare)

    def put_once(self, key: str, body: bytes | memoryview) -> None:
        """See `ObjectStore`."""
        self._insist(lambda: self._store.put_once(key, body))

    def put_file_once(self, key: str, path: Path) -> None:
        """See `ObjectStore`."""
        self._insist(lambda: self._store.put_file_once(key, path))

    def get(self, key: str) -> bytes:
        """See `ObjectStore`."""
        return self._insist(lambda: self._store.get(key))

    def view(self, key: str) -> memoryview:
        """See `ObjectStore`."""
        return self._insist(lambda: self._store.view(key))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """See `ObjectStore`."""
        return self._insist(lambda: self._store.get_range(key, start, length))

    def get_to_file(self, key: str, path: Path) -> str:
        """See `ObjectStore`."""
        return self._insist(lambda: self._store.get_to_file(key, path))

    def size(self, key: str) -> int:
        """See `ObjectStore`."""
        return self._insist(lambda: self._store.size(key))

    def exists(self, key: str) -> bool:
        """See `ObjectStore`."""
        return self._insist(lambda: self._store.exists(key))

    def keys(self, prefix: str = "", after: str = "") -> list[str]:
        """See `ObjectStore`."""
        return self._insist(lambda: self._store.keys(prefix, after))

    def _insist(self, attempt: Callable[[], T]) -> T:
        began = self._clock()
        while True:
            try:
                return attempt()
            except (Unreachable, NoRoom) as away:
                self._on_wait(str(away), self._clock() - began)
                rest = away.seconds if isinstance(away, Busy) else 0.0
            self._pause(max(self._interval, rest))
