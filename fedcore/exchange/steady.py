"""Reading that goes on where it broke off: within one call, and into a file also in a later one.

Knows no S3: a store says how to open an object from some byte on.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fedcore.audit import durable
from fedcore.errors import Unreachable
from fedcore.exchange.passing import Passing
from fedcore.exchange.s3_answers import TimedOut
from fedcore.exchange.store import Busy

# Tries in a row that bring nothing, and the longest pause between them, before patience is the
# caller's: `Reconnecting` says what it waits for.
TRIES = 3
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
MODE = 0o644
# What is not larger is fetched anew after a kill: no note is worth its while.
UNNOTED = 1 << 20


@dataclass(frozen=True)
class Opened:
    """An object as it is being read: its tag, its whole size, and the bytes that come."""

    etag: str
    size: int
    chunks: Iterator[bytes]


@dataclass(frozen=True)
class Beginning:
    """What is there of an object already."""

    size: int = 0
    etag: str | None = None
    complete: bool = False


# Opens an object from a byte on; `Changed` if its tag is not the given one (`None`: any tag).
Open = Callable[[int, str | None], Opened]
Pause = Callable[[float], None]


class Changed(Unreachable):
    """The object is not the one whose beginning was read."""


def _unheard(_: Opened) -> None:
    """Nobody wants to know."""


def steadily(
    opening: Open,
    pause: Pause,
    begun: Beginning = Beginning(),
    on_open: Callable[[Opened], None] = _unheard,
) -> Iterator[bytes]:
    """The bytes after `begun`, reopened after each cut; `on_open` hears of the first opening.

    Raises what `opening` raises; `Unreachable` once several openings in a row brought nothing, or
    at once when nothing moved for as long as the line waits.
    """
    at, etag, idle, heard = begun.size, begun.etag, 0, False
    while True:
        try:
            found = opening(at, etag)
            if not heard:
                on_open(found)
            etag, heard = found.etag, True
            for chunk in found.chunks:
                at, idle = at + len(chunk), 0
                yield chunk
            return
        except (TimedOut, Changed):
            raise
        except Unreachable as failed:
            idle += 1
            rest = rest_after(failed, idle)
            if idle >= TRIES or rest > LONGEST_PAUSE:
                raise
            pause(rest)


def rest_after(failed: Unreachable, tries: int) -> float:
    """How long to wait after so many failures in a row: as asked for, and ever longer."""
    wanted = failed.seconds if isinstance(failed, Busy) else 0.0
    return max(wanted, FIRST_PAUSE * 3.0 ** (tries - 1))


def fetch_to_file(opening: Open, pause: Pause, target: Path, source: str) -> str:
    """Fetch an object into a file, which appears only once it is complete; its SHA-256 in hex.

    What a cut or killed fetch left is taken up again, if it is of the same object (`source` and
    its tag). `InputError` when the file cannot be written; what is there stays for the next time.
    It is not flushed to the disk, see `ObjectStore`.
    """
    with durable.written(target):
        part = Partial(target, source)
        with part.claimed() as file:
            if file is None:
                passing = Passing(steadily(opening, pause))
                durable.replace_with(target, passing, lasting=False)
                return passing.sha256()
            try:
                return _complete(part, file, opening, pause)
            except Changed:
                part.restart(file)
                return _complete(part, file, opening, pause)


def _complete(part: Partial, file: BinaryIO, opening: Open, pause: Pause) -> str:
    """Only what an earlier fetch left is read again for the hash."""
    begun, total = part.known(file), hashlib.sha256()
    for chunk in part.kept(file, begun):
        total.update(chunk)
    if not begun.complete:
        for chunk in steadily(opening, pause, begun, part.remember):
            total.update(chunk)
            file.write(chunk)
    part.finish(file)
    return total.hexdigest()


class Partial:
    """The beginning of a file that is being fetched, kept beside it under a hidden name."""

    def __init__(self, target: Path, source: str) -> None:
        """`source` names the object, so that another one's beginning is never taken for it."""
        self._target, self._source = target, source
        self._part = target.with_name(f".{target.name}.partial")
        self._note = target.with_name(f".{target.name}.partial.json")

    @contextlib.contextmanager
    def claimed(self) -> Iterator[BinaryIO | None]:
        """The open part; `None` while somebody else is at it. An empty one is not left behind."""
        self._target.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
        with os.fdopen(descriptor, "r+b") as file:
            if not self._locked(file):
                yield None
                return
            try:
                yield file
            finally:
                self._tidy(file)

    def known(self, file: BinaryIO) -> Beginning:
        """How much of the object is there; nothing of any other object."""
        note, size = self._read_note(), file.seek(0, os.SEEK_END)
        etag, whole = note.get("etag"), note.get("size")
        ours = note.get("source") == self._source
        if ours and isinstance(etag, str) and isinstance(whole, int) and 0 < size <= whole:
            return Beginning(size, etag, complete=size == whole)
        self.restart(file)
        return Beginning()

    def kept(self, file: BinaryIO, begun: Beginning) -> Iterator[bytes]:
        """The bytes that are there, up to `begun`; the file then stands at their end."""
        file.seek(0)
        left = begun.size
        while left and (chunk := file.read(min(left, durable.CHUNK))):
            left -= len(chunk)
            yield chunk

    def restart(self, file: BinaryIO) -> None:
        """Forget what is there, and for good before anything else is noted."""
        self._note.unlink(missing_ok=True)
        if file.seek(0, os.SEEK_END):
            file.truncate(0)
            file.seek(0)
            os.fsync(file.fileno())
            durable.flush_folder(self._note.parent)

    def remember(self, opened: Opened) -> None:
        """Write down of which object the part is; a power cut may take that and no other note."""
        if opened.size > UNNOTED:
            note = {"source": self._source, "etag": opened.etag, "size": opened.size}
            written = [json.dumps(note).encode()]
            durable.write_part(self._note.parent, written, lasting=False).replace(self._note)

    def finish(self, file: BinaryIO) -> None:
        """Give the whole file its name."""
        file.flush()
        self._part.replace(self._target)
        self._note.unlink(missing_ok=True)

    def _locked(self, file: BinaryIO) -> bool:
        """Whether the part is now ours, and still the one of that name."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.fstat(file.fileno()).st_ino == self._part.stat().st_ino
        except (BlockingIOError, FileNotFoundError):
            return False

    def _tidy(self, file: BinaryIO) -> None:
        with contextlib.suppress(OSError):
            file.flush()
            if self._part.exists() and os.fstat(file.fileno()).st_size == 0:
                self._part.unlink()
                self._note.unlink(missing_ok=True)

    def _read_note(self) -> dict[str, object]:
        try:
            note = json.loads(self._note.read_bytes())
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}
