"""What stands in the place of a large object that was removed: a short note, for ever.

The key keeps its name, and the note holds the hash and the length of what was there. So an object
is written once also after it is gone: the same bytes again are a quiet success, others a conflict.
Whoever looks with any S3 client finds a sentence that says why there is nothing more to see.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Self

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
