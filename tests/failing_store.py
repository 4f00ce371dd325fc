"""An exchange that goes away in the middle of a training, for tests of what comes back."""

from __future__ import annotations

from fedcore.errors import Interrupted, Unreachable
from fedcore.exchange.memory import MemoryStore


class Failing(MemoryStore):
    """A store that goes away at its second new object, before or after it has come to stand."""

    def __init__(self, inner: MemoryStore, *, after: bool) -> None:
        super().__init__()
        self.inner, self.new, self.after = inner, 0, after

    def put_once(self, key: str, body: bytes | memoryview) -> None:
        self.new += not self.inner.exists(key)
        if self.new == 2 and not self.after:
            raise Unreachable("the test took the exchange away")
        self.inner.put_once(key, body)
        if self.new == 2:
            raise Unreachable("the test took the exchange away")

    def forget(self, key: str, note: bytes) -> None:
        self.new += 1
        if self.new == 2 and not self.after:
            raise Unreachable("the test took the exchange away")
        self.inner.forget(key, note)
        if self.new == 2:
            raise Unreachable("the test took the exchange away")

    def view(self, key: str) -> memoryview:
        return self.inner.view(key)

    def exists(self, key: str) -> bool:
        return self.inner.exists(key)

    def keys(self, prefix: str = "", after: str = "") -> list[str]:
        return self.inner.keys(prefix, after)


class Stopping(MemoryStore):
    """An exchange whose user is killed at a removal, before it or after it."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.after = -1, False

    def forget(self, key: str, note: bytes) -> None:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Interrupted("the test")
        super().forget(key, note)
        if self.left == 0:
            raise Interrupted("the test")
