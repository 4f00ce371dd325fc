"""Large files on their way up: in parts that are sent singly, and only once.

What is sent already is known from a note beside the file and from the bucket itself, so that an
upload goes on after a cut or a kill with the part that it broke off in. Knows no boto3.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fedcore.audit import durable
from fedcore.errors import Conflict, ExchangeError, InputError, NotAllowed, NotThere, Unreachable
from fedcore.exchange.s3_answers import UploadGone

MULTIPART = 8 << 20
PART = 8 << 20
MOST_PARTS = 10_000
# Uploads that somebody ended under our hands, before patience is the caller's.
STARTS = 3


@dataclass(frozen=True)
class Part:
    """One stretch of a file; parts are numbered from 1."""

    number: int
    start: int
    length: int


@dataclass(frozen=True)
class Stored:
    """A part as the bucket knows it."""

    etag: str
    size: int


class Bucket(Protocol):
    """What an upload in parts needs of a bucket, each in one call; errors are the exchange's."""

    def stands(self, key: str) -> bool:
        """Whether the object is there."""
        ...

    def begin(self, key: str) -> str:
        """Begin an upload; its id."""
        ...

    def open_uploads(self, key: str) -> list[str]:
        """The ids of uploads that were begun for the key, the newest last."""
        ...

    def stored_parts(self, key: str, upload: str) -> dict[int, Stored]:
        """The parts that have arrived."""
        ...

    def send_part(self, key: str, upload: str, path: Path, part: Part) -> str:
        """Send a part of the file; its tag."""
        ...

    def part_md5(self, path: Path, part: Part) -> str:
        """MD5 of a part of the file, in hex."""
        ...

    def complete(self, key: str, upload: str, tags: Mapping[int, str]) -> None:
        """Make the object of the parts unless the key is written; `Conflict` if it is."""
        ...

    def abort(self, key: str, upload: str) -> None:
        """Give an upload up and free its parts."""
        ...


@dataclass
class Note:
    """What is kept beside the file: which upload, and for each part the bucket's tag and MD5."""

    key: str
    place: str
    size: int
    upload: str = ""
    parts: dict[str, tuple[str, str]] = field(default_factory=dict)


def parts_of(size: int) -> list[Part]:
    """The parts of a file: 8 MiB each, more where that would be over ten thousand parts."""
    least = math.ceil(size / MOST_PARTS)
    length = max(PART, math.ceil(least / (1 << 20)) << 20)
    starts = range(0, size, length)
    return [Part(n, at, min(length, size - at)) for n, at in enumerate(starts, start=1)]


def combined_tag(md5s: list[str]) -> str:
    """The tag that S3 gives an object of such parts."""
    joined = b"".join(bytes.fromhex(one) for one in md5s)
    whole = hashlib.md5(joined, usedforsecurity=False).hexdigest()
    return f"{whole}-{len(md5s)}"


def note_path(path: Path) -> Path:
    """Where the note of a file's upload lies."""
    return path.with_name(f".{path.name}.upload")


def send_in_parts(bucket: Bucket, place: str, key: str, path: Path, size: int) -> None:
    """Write the file to `key` in parts, going on with what is there; `Conflict` if it is written.

    An upload that fails is left as it is, to be gone on with; one whose key is written is given up.
    """
    for _ in range(STARTS):
        note = _read_note(path, key, place, size)
        try:
            _Upload(bucket, path, note).run()
        except UploadGone:
            note_path(path).unlink(missing_ok=True)
            # It may be gone because it was completed, by us unheard or by another sender.
            if bucket.stands(key):
                raise Conflict(f"{place}: {key} is written already, with other bytes") from None
            continue
        return
    raise Unreachable(f"{place}: {key}: its upload was ended by somebody else, again and again")


def clear_away(bucket: Bucket, place: str, key: str, path: Path) -> None:
    """End what is left of uploads: this key's, which is written, and those whose file is gone."""
    note_path(path).unlink(missing_ok=True)
    for upload in _found(bucket, key):
        _abort(bucket, key, upload)
    for lost in path.parent.glob(".*.upload"):
        if not lost.with_name(lost.name[1:].removesuffix(".upload")).exists():
            note = _content(lost)
            if note.get("place") == place and note.get("upload") and note.get("key"):
                _abort(bucket, str(note["key"]), str(note["upload"]))
            lost.unlink(missing_ok=True)


class _Upload:
    """One try at an upload."""

    def __init__(self, bucket: Bucket, path: Path, note: Note) -> None:
        self._bucket, self._path, self._note = bucket, path, note

    def run(self) -> None:
        """Send what is missing and complete it."""
        there = self._resume()
        tags: dict[int, str] = {}
        for part in parts_of(self._note.size):
            md5 = self._bucket.part_md5(self._path, part)
            tags[part.number] = self._held(part, md5, there) or self._send(part, md5)
        self._bucket.complete(self._note.key, self._note.upload, tags)

    def _resume(self) -> dict[int, Stored] | None:
        """Parts that the bucket shows; `None` where it may not be asked and the note must do."""
        key = self._note.key
        if not self._note.upload:
            self._note.upload = next(reversed(_found(self._bucket, key)), "")
        if not self._note.upload:
            self._note.upload = self._bucket.begin(key)
            self._keep()
            return {}
        try:
            return self._bucket.stored_parts(key, self._note.upload)
        except NotThere:
            raise UploadGone(f"the upload of {key} is not known any more") from None
        except NotAllowed:
            return None

    def _held(self, part: Part, md5: str, there: dict[int, Stored] | None) -> str | None:
        """The tag of a part that need not be sent again."""
        tag, noted = self._note.parts.get(str(part.number), ("", ""))
        if there is None:
            return tag if noted == md5 else None
        stored = there.get(part.number)
        if stored is None or stored.size != part.length:
            return None
        plain = stored.etag.strip('"')
        return stored.etag if plain == md5 or (stored.etag == tag and noted == md5) else None

    def _send(self, part: Part, md5: str) -> str:
        tag = self._bucket.send_part(self._note.key, self._note.upload, self._path, part)
        self._note.parts[str(part.number)] = (tag, md5)
        self._keep()
        return tag

    def _keep(self) -> None:
        """Write the note; on a disk without room the upload goes on without."""
        try:
            durable.replace_with(note_path(self._path), [json.dumps(vars(self._note)).encode()])
        except InputError:
            note_path(self._path).unlink(missing_ok=True)


def _found(bucket: Bucket, key: str) -> list[str]:
    """Uploads begun for the key; none where one may not ask."""
    try:
        return bucket.open_uploads(key)
    except (NotAllowed, NotThere):
        return []


def _abort(bucket: Bucket, key: str, upload: str) -> None:
    """Free what nobody needs; what fails is left to the bucket's own housekeeping."""
    try:
        bucket.abort(key, upload)
    except ExchangeError:
        return


def _read_note(path: Path, key: str, place: str, size: int) -> Note:
    """The note of this very upload, or a new one."""
    found = _content(note_path(path))
    fresh = Note(key, place, size)
    if (found.get("key"), found.get("place"), found.get("size")) != (key, place, size):
        return fresh
    parts, upload = found.get("parts"), found.get("upload")
    if isinstance(upload, str) and isinstance(parts, dict):
        fresh.upload = upload
        fresh.parts = dict(_whole(parts))
    return fresh


def _whole(parts: dict[str, Any]) -> Iterator[tuple[str, tuple[str, str]]]:
    for number, pair in parts.items():
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair):
            yield number, (pair[0], pair[1])


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
