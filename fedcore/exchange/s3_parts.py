"""Large objects on their way up: in parts that are sent singly, and only once.

What is sent already is known from a note beside the file and from the bucket itself, so that an
upload goes on after a cut or a kill with the part that it broke off in. A part counts as sent when
the file is still the one of the note and the bucket shows the noted tag, or else when the bucket
shows the part's MD5. Knows no boto3.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from fedcore.errors import Conflict, ExchangeError, NotAllowed, NotThere, Unreachable
from fedcore.exchange.s3_answers import TimedOut, UploadGone
from fedcore.exchange.s3_notes import Book, Note
from fedcore.exchange.sources import Source, md5

MULTIPART = 8 << 20
PART = 8 << 20
MOST_PARTS = 10_000
# Parts of a body in memory that go up at a time: the server hashes each on a core of its own.
LANES = 2
# A killed sender's upload is gone on with long before; nobody else's may be touched.
FORGOTTEN_SECONDS = 7 * 24 * 60 * 60.0
# Uploads that somebody ended under our hands, or whose file changed, before patience is the
# caller's.
STARTS = 3


@dataclass(frozen=True)
class Part:
    """One stretch of a body; parts are numbered from 1."""

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

    def begin(self, key: str, *, patient: bool) -> str:
        """Begin an upload; its id. One try only unless `patient`."""
        ...

    def open_uploads(self, key: str) -> list[str]:
        """The ids of uploads that were begun for the key, the newest last."""
        ...

    def begun_before(self, moment: float) -> list[tuple[str, str]]:
        """Key and id of each upload that was begun before `moment`, seconds since 1970."""
        ...

    def stored_parts(self, key: str, upload: str) -> dict[int, Stored]:
        """The parts that have arrived."""
        ...

    def send_part(self, key: str, upload: str, source: Source, part: Part) -> str:
        """Send a part of the body; its tag."""
        ...

    def complete(self, key: str, upload: str, tags: Mapping[int, str]) -> None:
        """Make the object of the parts unless the key is written; `Conflict` if it is."""
        ...

    def abort(self, key: str, upload: str) -> None:
        """Give an upload up and free its parts; one try."""
        ...


def parts_of(size: int) -> list[Part]:
    """The parts of a body: 8 MiB each, more where that would be over ten thousand parts."""
    least = math.ceil(size / MOST_PARTS)
    length = max(PART, math.ceil(least / (1 << 20)) << 20)
    starts = range(0, size, length)
    return [Part(n, at, min(length, size - at)) for n, at in enumerate(starts, start=1)]


def tag_of(source: Source) -> str:
    """The tag that S3 gives the object which this very body makes when it is sent in parts."""
    md5s = [md5(source, part.start, part.length) for part in parts_of(source.size)]
    joined = b"".join(bytes.fromhex(one) for one in md5s)
    whole = hashlib.md5(joined, usedforsecurity=False).hexdigest()
    return f"{whole}-{len(md5s)}"


def end_forgotten(bucket: Bucket, now: float, folders: tuple[str, ...]) -> None:
    """End uploads to keys in `folders` that were begun more than a week ago; quiet if it fails.

    Each is of a sender that was killed and never came back: one of a body in memory, or one whose
    disk is gone.
    """
    with contextlib.suppress(ExchangeError):
        for key, upload in bucket.begun_before(now - FORGOTTEN_SECONDS):
            if key.startswith(folders):
                _abort(bucket, key, [upload])


class Upload:
    """One body on its way to one key; goes on with what is there."""

    def __init__(self, bucket: Bucket, place: str, key: str, source: Source, book: Book) -> None:
        """`place` names the bucket, so that another one's upload is never taken for it."""
        self._bucket, self._place, self._key = bucket, place, key
        self._source, self._book = source, book
        self._note = self._fresh()
        # Whether uploads may be open for the key besides the one that is noted.
        self._unsure = False

    def run(self) -> None:
        """Write the body to the key; `Conflict` if that is written, before anything is sent.

        An upload that fails is left as it is when it can be gone on with later, and else given up.
        """
        if self._bucket.stands(self._key):
            if self._book.read(self._fresh()) is not None:  # of a sender who was killed at its end
                self._unsure = True
                self.clear_away()
            raise self._written()
        with contextlib.ExitStack() as undo:
            if not self._book.lasting:
                undo.callback(self._give_up)
            try:
                self._insist()
            except Conflict:
                self._unsure = True  # of ours at least
                self.clear_away()
                raise
            except TimedOut:
                undo.pop_all()  # where nothing moves, giving up would take as long again
                raise
            undo.pop_all()
        self.clear_away()

    def clear_away(self) -> None:
        """End what is left of uploads: this key's, which is written, and those of lost files."""
        self._book.close()
        if self._unsure:
            _abort(self._bucket, self._key, _found(self._bucket, self._key))
        for lost in self._book.lost():
            key, upload = lost.get("key"), lost.get("upload")
            if lost.get("place") == self._place and key:
                known = [str(upload)] if upload else _found(self._bucket, str(key))
                _abort(self._bucket, str(key), known)

    def _insist(self) -> None:
        for _ in range(STARTS):
            try:
                if self._sent():
                    return
            except UploadGone:
                self._book.close()
                # It may be gone because it was completed, by us unheard or by another sender.
                if self._bucket.stands(self._key):
                    raise self._written() from None
        again = "its upload was ended by somebody else, or its file changed, again and again"
        raise Unreachable(f"{self._place}: {self._key}: {again}")

    def _sent(self) -> bool:
        """Send what is missing and complete it; `False` when the file changed meanwhile."""
        version = self._source.version()
        self._open_note()
        act, parts = partial(self._there, self._resume()), parts_of(self._source.size)
        if self._book.lasting:
            tags = []
            for part in parts:
                tags.append(act(part))
                if self._source.version() != version:
                    return False
        else:  # which cannot change; and the parts that are sent need no order to be gone on with
            with ThreadPoolExecutor(LANES) as lanes:
                tags = list(lanes.map(act, parts))
        known = {part.number: tag for part, tag in zip(parts, tags, strict=True)}
        self._bucket.complete(self._key, self._note.upload, known)
        return True

    def _there(self, there: dict[int, Stored] | None, part: Part) -> str:
        """The tag of a part, which is sent unless it is there."""
        return self._held(part, there) or self._send(part)

    def _written(self) -> Conflict:
        return Conflict(f"{self._place}: {self._key} is written already, with other bytes")

    def _fresh(self) -> Note:
        return Note(self._key, self._place, self._source.size, self._source.identity())

    def _open_note(self) -> None:
        """Without a note no upload is open; from here on there is one, if it can be written."""
        fresh = self._fresh()
        found = self._book.read(fresh)
        self._note = found or fresh
        if not self._book.begin(self._note) or found is not None:
            self._unsure = True

    def _resume(self) -> dict[int, Stored] | None:
        """Parts that the bucket shows; `None` where it may not be asked and the note must do."""
        if not self._note.upload:
            new = self._begin()
            self._book.add(self._note)
            if new:
                return {}
        try:
            return self._bucket.stored_parts(self._key, self._note.upload)
        except NotThere:
            raise UploadGone(f"the upload of {self._key} is not known any more") from None
        except NotAllowed:
            return None

    def _begin(self) -> bool:
        """Find or begin an upload; whether it is a new one, of which nothing can be there."""
        if not self._unsure:
            try:
                self._note.upload = self._bucket.begin(self._key, patient=False)
                return True
            except TimedOut:
                raise
            except Unreachable:
                self._unsure = True  # it may have begun, and only the answer was lost
        found = _found(self._bucket, self._key)
        self._note.upload = found[-1] if found else self._bucket.begin(self._key, patient=True)
        return not found

    def _held(self, part: Part, there: dict[int, Stored] | None) -> str | None:
        """The tag of a part that need not be sent again."""
        noted = self._note.parts.get(str(part.number), "")
        if there is None:
            return noted or None
        stored = there.get(part.number)
        if stored is None or stored.size != part.length:
            return None
        plain = stored.etag.strip('"')
        if plain != noted.strip('"') and plain != md5(self._source, part.start, part.length):
            return None
        return stored.etag

    def _send(self, part: Part) -> str:
        tag = self._bucket.send_part(self._key, self._note.upload, self._source, part)
        self._note.parts[str(part.number)] = tag
        self._book.add(self._note, str(part.number))
        return tag

    def _give_up(self) -> None:
        if self._note.upload and _abort(self._bucket, self._key, [self._note.upload]):
            self._book.close()


def _found(bucket: Bucket, key: str) -> list[str]:
    """Uploads begun for the key; none where one may not ask."""
    try:
        return bucket.open_uploads(key)
    except (NotAllowed, NotThere):
        return []


def _abort(bucket: Bucket, key: str, uploads: list[str]) -> bool:
    """Free what nobody needs, and whether it is free: what fails is left to the housekeeping."""
    for upload in uploads:
        try:
            bucket.abort(key, upload)
        except (NotThere, UploadGone):
            continue
        except ExchangeError:
            return False
    return True
