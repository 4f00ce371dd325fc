"""What is known of an upload that has begun: a note beside its file, or nothing for one in memory.

The note is there before the upload begins. So where there is none, no upload of that file is open,
and nobody needs to ask the bucket, which has to look through all that are. It grows by a line for
the upload and for each part that has arrived. Each line says of which file and object it is, as two
senders may write here at once; and it is there or not, whenever its writer is killed. What a power
cut tears or loses is found in the bucket.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fedcore.audit import durable
from fedcore.errors import InputError

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

    def about(self, line: Mapping[str, Any]) -> bool:
        """Whether a line is of this object."""
        return all(line.get(name) == getattr(self, name) for name in ("key", "place", "size"))

    def line(self, part: str = "") -> bytes:
        """What is to be added: which upload it is, and of a part the tag."""
        known: dict[str, str | int] = {"key": self.key, "place": self.place, "size": self.size}
        if self.upload:
            known["upload"] = self.upload
        if part:
            known |= {"file": self.file, "part": part, "tag": self.parts[part]}
        return json.dumps(known).encode() + b"\n"


class Book(Protocol):
    """Where an upload's note is kept."""

    lasting: bool  # whether an upload that fails can be gone on with later

    def read(self, fresh: Note) -> Note | None:
        """What was noted of the upload that `fresh` is to be; `None` when surely none is open."""
        ...

    def begin(self, note: Note) -> bool:
        """Note that an upload is about to begin, lastingly; whether that could be written."""
        ...

    def add(self, note: Note, part: str = "") -> None:
        """Note the upload, or a part of it; on a disk without room that is left out."""
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
        lines = _lines(self._path)
        if lines is None:
            return None
        for line in lines:
            _take(line, fresh)
        return fresh

    def begin(self, note: Note) -> bool:
        """See `Book`."""
        if self._path.exists():
            return True
        try:
            durable.replace_with(self._path, [note.line()])
        except InputError:
            return False
        return True

    def add(self, note: Note, part: str = "") -> None:
        """See `Book`."""
        with contextlib.suppress(OSError):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                os.write(descriptor, b"\n" + note.line(part))  # the line before may be torn
            finally:
                os.close(descriptor)

    def close(self) -> None:
        """See `Book`."""
        self._path.unlink(missing_ok=True)

    def lost(self) -> Iterator[dict[str, Any]]:
        """See `Book`."""
        for path in self._folder.glob(f".*{ENDING}"):
            if not path.with_name(path.name[1:].removesuffix(ENDING)).exists():
                # The last line of each object knows its upload.
                last = {(one.get("key"), one.get("place")): one for one in _lines(path) or []}
                yield from last.values()
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

    def add(self, note: Note, part: str = "") -> None:  # noqa: ARG002 (there are no lines)
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


def _lines(path: Path) -> list[dict[str, Any]] | None:
    """A note's lines without what is torn; `None` when there is no note."""
    try:
        texts = path.read_bytes().splitlines()
    except FileNotFoundError:
        return None
    except OSError:
        return []
    return [line for line in map(_line, texts) if line]


def _line(text: bytes) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}


def _take(line: dict[str, Any], fresh: Note) -> None:
    """Take over what a line says of the same upload; a tag only if the file is the same, too."""
    upload, part, tag = line.get("upload"), line.get("part"), line.get("tag")
    if not fresh.about(line) or not isinstance(upload, str):
        return
    if upload != fresh.upload:  # begun anew
        fresh.upload, fresh.parts = upload, {}
    if isinstance(part, str) and isinstance(tag, str) and line.get("file") == fresh.file:
        fresh.parts[part] = tag
