"""What stands in the place of a large object that was removed: a short note, for ever.

The key keeps its name, and the note holds the hash and the length of what was there. So an object
is written once also after it is gone: the same bytes again are a quiet success, others a conflict.
Whoever looks with any S3 client finds a sentence that says why there is nothing more to see.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Self

from fedcore.exchange.store import ObjectStore

MARK = b'{"fedcore": "removed", '
# The length of the longest note: what is larger is none, and need not be read to know it.
MOST = 1024


@dataclass(frozen=True)
class Removal:
    """SHA-256 and size in bytes of what was there; when and why it went, as words after its key."""

    sha256: str
    size: int
    why: str

    def note(self) -> bytes:
        """The note; `ValueError` for more words than a note has room for."""
        told = {"sha256": self.sha256, "size": self.size, "why": self.why}
        body = MARK + json.dumps(told).encode()[1:] + b"\n"
        if len(body) > MOST:
            raise ValueError(f"a note of {len(body)} bytes: {MOST} are the most")
        return body

    @classmethod
    def read(cls, body: bytes | memoryview) -> Self | None:
        """The note that these bytes are; `None` for anything else."""
        if len(body) > MOST or bytes(body[: len(MARK)]) != MARK:
            return None
        try:
            found = json.loads(bytes(body))
            return cls(str(found["sha256"]), int(found["size"]), str(found["why"]))
        except (ValueError, KeyError, TypeError):
            return None


def removal_at(store: ObjectStore, key: str) -> Removal | None:
    """The note in an object's place; `None` where the object itself stands. Raises as `get`."""
    return Removal.read(store.get(key)) if store.size(key) <= MOST else None


def was_removed(store: ObjectStore, key: str, sha256: str) -> bool:
    """Whether an object that hashes to this was there, and was removed."""
    removal = removal_at(store, key)
    return removal is not None and removal.sha256 == sha256
