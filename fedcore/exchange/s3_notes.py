"""What is known of an upload that has begun: a note beside its file, or nothing for one in memory.

The note is there before the upload begins. So where there is none, no upload of that file is open,
and nobody needs to ask the bucket, which has to look through all that are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fedcore.audit import durable
from fedcore.errors import InputError
from fedcore.exchange.notes import jot, read_note

ENDING = ".upload"


@dataclass
class Note:
    """Which upload it is, of which file (see `Source.identity`), and each part's tag."""

    key: str
    place: str
    size: int
    file: str
    upload: str = ""
    parts: dict[str, str] = field(default_factory=dict)


class Book(Protocol):
    """Where an upload's note is kept."""

    lasting: bool  # whether an upload that fails can be gone on with later

    def read(self, fresh: Note) -> Note | None:
        """What was noted of the upload that `fresh` is to be; `None` when surely none is open."""
        ...

    def begin(self, note: Note) -> bool:
        """Note that an upload is about to begin, lastingly; whether that could be written."""
        ...

    def keep(self, note: Note) -> None:
        """Note how far it is; on a disk without room the note before this one stays."""
        ...

    def close(self) -> None:
        """Forget it."""
        ...

    def lost(self) -> Iterator[dict[str, Any]]:
        """Notes of uploads whose file is gone, each forgotten once it was given out."""
        ...


class Beside:
    """A note beside the file, under a hidden name."""

    lasting = True

    def __init__(self, path: Path) -> None:
        """`path` is the file's."""
        self._folder, self._path = path.parent, note_path(path)

    def read(self, fresh: Note) -> Note | None:
        """See `Book`. A torn note, or another object's, says only that one may be open."""
        found = read_note(self._path)
        return None if found is None else _matching(found, fresh)

    def begin(self, note: Note) -> bool:
        """See `Book`."""
        try:
            durable.replace_with(self._path, [json.dumps(vars(note)).encode()])
        except InputError:
            return False
        return True

    def keep(self, note: Note) -> None:
        """See `Book`."""
        try:
            jot(self._path, vars(note))
        except OSError:
            return

    def close(self) -> None:
        """See `Book`."""
        self._path.unlink(missing_ok=True)

    def lost(self) -> Iterator[dict[str, Any]]:
        """See `Book`."""
        for path in self._folder.glob(f".*{ENDING}"):
            if not path.with_name(path.name[1:].removesuffix(ENDING)).exists():
                yield read_note(path) or {}
                path.unlink(missing_ok=True)


class Unwritten:
    """No note: what is in memory is gone with its process. `upload` is the one that is open."""

    lasting = False

    def __init__(self, upload: str = "") -> None:
        """`upload` is one that this process had to leave open."""
        self.upload = upload

    def read(self, fresh: Note) -> Note | None:
        """See `Book`. Its parts are compared by their MD5."""
        fresh.upload = self.upload
        return fresh if self.upload else None

    def begin(self, note: Note) -> bool:
        """See `Book`."""
        self.upload = note.upload
        return True

    def keep(self, note: Note) -> None:
        """See `Book`."""
        self.upload = note.upload

    def close(self) -> None:
        """See `Book`."""
        self.upload = ""

    def lost(self) -> Iterator[dict[str, Any]]:
        """See `Book`."""
        return iter(())


def note_path(path: Path) -> Path:
    """Where the note of a file's upload lies."""
    return path.with_name(f".{path.name}{ENDING}")


def _matching(found: dict[str, Any], fresh: Note) -> Note:
    """`fresh` with what was noted of the same upload; tags only if the file is the same, too."""
    if (found.get("key"), found.get("place"), found.get("size")) != (
        fresh.key,
        fresh.place,
        fresh.size,
    ):
        return fresh
    parts, upload = found.get("parts"), found.get("upload")
    if isinstance(upload, str) and isinstance(parts, dict):
        fresh.upload = upload
        if found.get("file") == fresh.file:
            fresh.parts = {number: tag for number, tag in parts.items() if isinstance(tag, str)}
    return fresh
