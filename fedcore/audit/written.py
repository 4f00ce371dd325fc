"""What this process knows of files that it wrote itself: their hashes, until somebody touches them.

It saves reading a large file again. A file that was written to, or that another one has replaced,
is not known any more, so it is hashed like everybody else's.
"""

from __future__ import annotations

import os
from pathlib import Path

Stamp = tuple[int, int, int, int]


class Written:
    """The SHA-256 of files, by their place."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._known: dict[Path, tuple[str, Stamp]] = {}

    def note(self, place: Path, sha256: str) -> None:
        """The file that lies at `place` now hashes to `sha256`."""
        self._known[place] = (sha256, _stamp(place.stat()))

    def sha256(self, place: Path, found: os.stat_result) -> str | None:
        """The hash of the file that was `found` at `place`; `None` unless it is the noted one."""
        known = self._known.get(place)
        return known[0] if known is not None and known[1] == _stamp(found) else None

    def forget(self, place: Path) -> None:
        """Nobody will ask for the file at `place` again."""
        self._known.pop(place, None)


def _stamp(found: os.stat_result) -> Stamp:
    """What changes when somebody writes to a file or puts another in its place."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
