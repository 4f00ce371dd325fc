"""The port: what an object store can do, and what it answers when it cannot.

Every store raises the same four errors and never confuses them: `NotThere` (reached, no such
object), `NotAllowed` (reached, refuses), `Unreachable` (no answer, or no room; trying again is
sensible), `Conflict` (the key is written already, with other bytes). A malformed key raises
`InputError`. A bucket or root folder that does not exist (yet) counts as `Unreachable`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from fedcore.errors import Unreachable
from fedcore.exchange.own import Own


class Busy(Unreachable):
    """The exchange asks to be left alone for `seconds` (0: it does not say for how long)."""

    def __init__(self, message: str, seconds: float = 0.0) -> None:
        """Remember how long to wait before trying again."""
        super().__init__(message)
        self.seconds = seconds


class ObjectStore(Protocol):
    """Objects under keys such as `a/b/c.json`, each written once and never changed."""

    @property
    def own(self) -> Own | None:
        """What it can do besides, where it need not survive this process; `None` where it must."""
        ...

    def prepare(self) -> None:
        """Make the bucket or folder if it is not there; quiet if it is."""
        ...

    def put_once(self, key: str, body: bytes | memoryview) -> None:
        """Write an object. The same bytes again are a quiet success, others a `Conflict`."""
        ...

    def put_file_once(self, key: str, path: Path) -> None:
        """`put_once` with the bytes of a local file, read a piece at a time."""
        ...

    def get(self, key: str) -> bytes:
        """The whole object."""
        ...

    def view(self, key: str) -> memoryview:
        """The whole object, read-only; for large bodies, which it copies less often than `get`."""
        ...

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """At most `length` bytes from `start`: fewer at the object's end, none beyond it."""
        ...

    def get_to_file(self, key: str, path: Path) -> str:
        """Write the object to a local file, which appears once it is complete; SHA-256 in hex.

        A power cut may tear it afterwards, as it is not flushed to the disk: what can be fetched
        again is not waited for. Whoever finds the file later compares its hash.
        """
        ...

    def size(self, key: str) -> int:
        """The object's length in bytes."""
        ...

    def exists(self, key: str) -> bool:
        """Whether the object is there."""
        ...

    def keys(self, prefix: str = "", after: str = "") -> list[str]:
        """All keys that begin with `prefix` and sort strictly after `after`, sorted."""
        ...


def require_range(start: int, length: int) -> None:
    """Raise `ValueError` for a range that no object can have."""
    if start < 0 or length < 0:
        raise ValueError(f"the range of {length} bytes from {start} is negative")
