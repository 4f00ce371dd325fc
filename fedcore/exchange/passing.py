"""Bytes that are hashed while they pass, so that a file need not be read again for its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator


class Passing:
    """Pieces on their way through; knows the SHA-256 of those that have passed."""

    def __init__(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Nothing has passed yet."""
        self._pieces, self._total = pieces, hashlib.sha256()

    def __iter__(self) -> Iterator[bytes | memoryview]:
        """The pieces, unchanged."""
        for piece in self._pieces:
            self._total.update(piece)
            yield piece

    def sha256(self) -> str:
        """In hex."""
        return self._total.hexdigest()
