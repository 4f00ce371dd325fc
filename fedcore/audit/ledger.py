"""The ledger: an append-only file in which every entry is signed and holds the hash of the last.

Whoever holds the newest index and hash (the head) can tell later whether anything was changed,
dropped, swapped or cut. Entries are JSON lines, flushed to the disk before `append` returns, unless
all that they tell of is gone with this process, too.
A writer killed in mid-append leaves a torn last line; nobody has seen that entry, so the next
writer sets the torn bytes aside (`<file>.torn`) and the chain goes on.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from fedcore.audit import durable
from fedcore.audit.canonical import canonical
from fedcore.audit.entry import NOTHING_BEFORE, Entry, Head, Subject
from fedcore.audit.signing import SigningKey
from fedcore.errors import InputError, LedgerBroken, NoRoom, Refused

EMPTY = Head(-1, NOTHING_BEFORE)


class Ledger:
    """The ledger of one party in one file; several processes of that party may share it."""

    def __init__(
        self, path: Path, key: SigningKey, clock: Callable[[], float], *, lasting: bool = True
    ) -> None:
        """Open or make the file and verify it; `clock` gives seconds since 1970.

        Without `lasting`, an entry that was appended may be lost in a power cut before `flush`.
        Raises `LedgerBroken` when an entry does not verify, `InputError` when the file cannot be
        read and written.
        """
        self._path, self._key, self._clock, self._lasting = path, key, clock, lasting
        self._entries: list[Entry] = []
        self._known: dict[bytes, Entry] = {}
        self._kinds: dict[str, list[Entry]] = {}
        self._size = 0
        with self._opened():
            pass

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def append(self, kind: str, subject: Subject) -> Entry:
        """Sign and write one entry; if it is to last, it is on the disk when this returns."""
        with self._opened() as file:
            return self._write(file, kind, subject)

    def append_once(self, kind: str, subject: Subject) -> Entry:
        """`append`, unless this very thing stands in the ledger already: for repeated steps."""
        with self._opened() as file:
            known = self._known.get(_meaning(kind, subject))
            return known or self._write(file, kind, subject)

    def flush(self) -> None:
        """Bring onto the disk what was appended, and the file's name."""
        with self._opened() as file:
            os.fsync(file.fileno())
        durable.flush_folder(self._path.parent)

    def adopt(self, lines: Iterable[bytes]) -> int:
        """Append what a copy of this very ledger holds beyond this file; how many entries.

        Raises `LedgerBroken`, and changes nothing, at the first entry of the copy that does not
        verify or is not the one that stands here.
        """
        with self._opened() as file:
            theirs = _chain(lines, self._key.public, EMPTY)
            for ours, other in zip(self._entries, theirs, strict=False):
                if ours != other:
                    fault = _sentence(ours.index, "is another in the copy")
                    raise LedgerBroken(fault, ours.index)
            missing = theirs[len(self._entries) :]
            self._extend(file, missing)
            return len(missing)

    def entries(self, since: int = 0) -> list[Entry]:
        """All entries from index `since`, oldest first, those of other processes included."""
        with self._opened():
            return self._entries[since:]

    def of_kind(self, kind: str) -> list[Entry]:
        """All entries of that kind, oldest first; what it costs hangs on their number alone."""
        with self._opened():
            return list(self._kinds.get(kind, ()))

    def holds(self, head: Head) -> bool:
        """Whether the entry of that index and hash stands here; the empty ledger's head always."""
        with self._opened():
            newest = self._newest()
            return head.index < 0 or (
                head.index <= newest.index and self._entries[head.index].head == head
            )

    def head(self) -> Head:
        """The newest entry's index and hash; index -1 when there is none."""
        with self._opened():
            return self._newest()

    def story(self) -> list[tuple[str, Subject]]:
        """What was done to what, without time, signature and hash: equal for equal trainings."""
        return story(self.entries())

    def _write(self, file: BinaryIO, kind: str, subject: Subject) -> Entry:
        entry = Entry.sign(self._newest(), kind, subject, self._clock(), self._key)
        self._extend(file, [entry])
        return entry

    def _extend(self, file: BinaryIO, entries: Sequence[Entry]) -> None:
        """Put entries that follow onto the disk."""
        file.seek(0, os.SEEK_END)
        file.write(b"".join(entry.line + b"\n" for entry in entries))
        file.flush()
        if self._lasting:
            os.fsync(file.fileno())
        self._remember(entries)
        self._size = file.tell()

    @contextlib.contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        """The file, locked against other writers, mended, and read to its end."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                self._catch_up(file)
                yield file
        except OSError as broken:
            kind = NoRoom if broken.errno in durable.FULL else InputError
            remedy = "make it a writable file on a disk with room"
            raise kind(f"{self._path}: the ledger fails ({broken.strerror}): {remedy}") from None

    def _catch_up(self, file: BinaryIO) -> None:
        """Take in what was written since the last look; set a torn last line aside."""
        if file.seek(0, os.SEEK_END) < self._size:
            last = len(self._entries) - 1
            raise LedgerBroken(f"{self._path}: the file has become shorter: restore it", last)
        if self._size == 0 and self._lasting:
            durable.flush_folder(self._path.parent)
        file.seek(self._size)
        lines, torn = _split(file.read())
        self._remember(_chain(lines, self._key.public, self._newest()))
        self._size += sum(len(line) + 1 for line in lines)
        if torn:
            self._mend(file, torn)

    def _mend(self, file: BinaryIO, torn: bytes) -> None:
        """Keep an entry that only lacks its newline; set anything less aside."""
        try:
            entries = _chain([torn], self._key.public, self._newest())
        except LedgerBroken:
            self._set_aside(file, torn)
            return
        file.write(b"\n")
        file.flush()
        os.fsync(file.fileno())
        self._remember(entries)
        self._size = file.tell()

    def _set_aside(self, file: BinaryIO, torn: bytes) -> None:
        with self._path.with_name(self._path.name + ".torn").open("ab") as aside:
            aside.write(torn + b"\n")
            aside.flush()
            os.fsync(aside.fileno())
        file.truncate(self._size)
        os.fsync(file.fileno())

    def _newest(self) -> Head:
        return self._entries[-1].head if self._entries else EMPTY

    def _remember(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._entries.append(entry)
            self._known.setdefault(_meaning(entry.kind, entry.subject), entry)
            self._kinds.setdefault(entry.kind, []).append(entry)


def verify(
    source: Path | Iterable[bytes], public: str, expected_head: Head | None = None
) -> list[Entry]:
    """All entries of a ledger file (or of its lines, without newlines) signed by `public`.

    Raises `LedgerBroken` with the index of the first entry that was changed, dropped, swapped or
    is incomplete; with `expected_head` also when the ledger ends before that entry or holds
    another in its place. A ledger that has grown since then is whole.
    """
    entries = _chain(_lines(source), public, EMPTY)
    if expected_head is None or expected_head.index < 0:
        return entries
    if expected_head.index >= len(entries):
        raise LedgerBroken(_sentence(len(entries), "and all after it are cut off"), len(entries))
    if entries[expected_head.index].head != expected_head:
        message = _sentence(expected_head.index, "is not the one that was known before")
        raise LedgerBroken(message, expected_head.index)
    return entries


def story(entries: Iterable[Entry]) -> list[tuple[str, Subject]]:
    """What was done to what, in order, without time, signature and hash."""
    return [(entry.kind, entry.subject) for entry in entries]


def _chain(lines: Iterable[bytes], public: str, head: Head) -> list[Entry]:
    entries: list[Entry] = []
    for line in lines:
        index = head.index + 1
        try:
            entry = Entry.read(line)
        except Refused as odd:
            raise LedgerBroken(_sentence(index, f"is unreadable ({odd.detail})"), index) from None
        fault = entry.fault(head, public)
        if fault:
            raise LedgerBroken(_sentence(index, fault), index)
        entries.append(entry)
        head = entry.head
    return entries


def _lines(source: Path | Iterable[bytes]) -> Iterable[bytes]:
    if not isinstance(source, Path):
        return source
    try:
        lines, torn = _split(source.read_bytes())
    except OSError as broken:
        remedy = "name a ledger file"
        raise InputError(f"{source}: cannot be read ({broken.strerror}): {remedy}") from None
    return [*lines, torn] if torn else lines


def _split(content: bytes) -> tuple[list[bytes], bytes]:
    """The complete lines, and what follows the last newline."""
    *lines, torn = content.split(b"\n")
    return lines, torn


def _meaning(kind: str, subject: Subject) -> bytes:
    return canonical({"kind": kind, "subject": subject})


def _sentence(index: int, fault: str) -> str:
    return f"ledger: entry {index} {fault}: compare with a copy from before"
