"""Files that appear whole or not at all, and that survive a power cut once they have appeared.

A file is written under a hidden temporary name in its own folder, flushed to the disk, and then
given its real name in one step. The exchange folder, the signing keys and every download use it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from fedcore.errors import InputError, NoRoom

PART = ".part-"
STALE_SECONDS = 3600.0
CHUNK = 1 << 20
READ_ONLY, WRITABLE = 0o444, 0o222
Link = Callable[[Path, Path], None]
# No room on the disk, for this account, or for a file of that size.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NO_HARD_LINKS = frozenset(
    {errno.EPERM, errno.ENOSYS, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EXDEV}
)


def hard_link(part: Path, target: Path) -> None:
    """Give `part` the second name `target`; `FileExistsError` when the name is taken."""
    os.link(part, target)


def write_part(
    folder: Path, chunks: Iterable[bytes | memoryview], mode: int = 0o644, *, lasting: bool = True
) -> Path:
    """Write `chunks` to a new hidden file in `folder`, if `lasting` to the disk; its path."""
    descriptor, name = tempfile.mkstemp(prefix=PART, dir=folder)
    part = Path(name)
    with contextlib.ExitStack() as undo:
        undo.callback(discard, part)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            if lasting:
                os.fsync(file.fileno())
        undo.pop_all()
    return part


def publish(part: Path, target: Path, link: Link = hard_link, *, lasting: bool = True) -> bool:
    """Name a written part `target` unless that name is taken; whether it was free.

    The part is gone afterwards and the folder is flushed, so that even a "taken" is lasting.
    """
    try:
        return _claim(part, target, link)
    finally:
        discard(part)
        if lasting:
            flush_folder(target.parent)


def _claim(part: Path, target: Path, link: Link) -> bool:
    try:
        link(part, target)
    except FileExistsError:
        return False
    except OSError as unable:
        if unable.errno not in NO_HARD_LINKS:
            raise
        return _rename_under_lock(part, target)
    return True


def _rename_under_lock(part: Path, target: Path) -> bool:
    """For file systems without hard links: every writer looks and renames under one lock."""
    with locked(target.parent / ".lock"):
        if target.exists():
            return False
        part.rename(target)
        return True


@contextlib.contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold an exclusive lock on the file at `path`; its descriptor. A killed holder lets go."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def replace_with(
    path: Path, chunks: Iterable[bytes | memoryview], mode: int = 0o644, *, lasting: bool = True
) -> None:
    """Write `chunks` to `path`, replacing what was there only once all has arrived.

    What is not `lasting` appears whole or not at all while the machine runs, and no longer.
    An `OSError` of this machine's own disk becomes `InputError`, on a full one `NoRoom`; what
    `chunks` raises passes.
    """
    with written(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_part(path.parent, chunks, mode, lasting=lasting).replace(path)
        if lasting:
            flush_folder(path.parent)


def replace_and_hash(path: Path, body: bytes | memoryview, *, lasting: bool = True) -> str:
    """`replace_with` of a body that nobody will change in its place; its SHA-256 in hex.

    The file is read-only. It is hashed while the disk is at work.
    """
    hashing, told = threading.Thread(target=lambda: told.append(hash_chunks([body]))), list[str]()
    hashing.start()
    try:
        replace_with(path, [body], READ_ONLY, lasting=lasting)
    finally:
        hashing.join()
    return told[0]


def is_final(path: Path) -> bool:
    """Whether nobody may write to the file at `path`: it can be named anew in place of a copy."""
    return not path.stat().st_mode & WRITABLE


@contextlib.contextmanager
def written(path: Path) -> Iterator[None]:
    """Say in one sentence that `path` cannot be written: `NoRoom` on a full disk."""
    try:
        yield
    except OSError as broken:
        kind = NoRoom if broken.errno in FULL else InputError
        remedy = "make room there or choose another folder"
        raise kind(f"{path}: cannot be written ({broken.strerror}): {remedy}") from None


def sweep(folder: Path, now: float) -> None:
    """Remove parts that a killed writer left in `folder` and that nobody wrote to for an hour.

    `now` is in seconds of the clock that stamps the folder's files.
    """
    for part in folder.glob(f"{PART}*"):
        with contextlib.suppress(OSError):
            if part.lstat().st_mtime < now - STALE_SECONDS:
                part.unlink()


def discard(part: Path) -> None:
    """Remove a part; one that is gone or out of reach is left to the next sweep."""
    with contextlib.suppress(OSError):
        part.unlink()


def flush_folder(folder: Path) -> None:
    """Make the folder's names last; a file system that cannot flush folders is taken as it is."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def chunks_of(path: Path) -> Iterator[bytes]:
    """A local file's bytes, a piece at a time; `InputError` when it cannot be read."""
    with readable(path), path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say in one sentence that `path` cannot be read."""
    try:
        yield
    except OSError as broken:
        remedy = "name a readable file"
        raise InputError(f"{path}: cannot be read ({broken.strerror}): {remedy}") from None


def pieces_of(body: bytes | memoryview) -> Iterator[memoryview]:
    """A body in memory, a piece at a time and without copies."""
    view = memoryview(body).cast("B")
    return (view[start : start + CHUNK] for start in range(0, view.nbytes, CHUNK))


def hash_chunks(chunks: Iterable[bytes | memoryview]) -> str:
    """SHA-256 in hex of all the pieces together."""
    total = hashlib.sha256()
    for chunk in chunks:
        total.update(chunk)
    return total.hexdigest()


def hash_file(path: Path) -> str:
    """SHA-256 of a file in hex, read a piece at a time."""
    return hash_chunks(chunks_of(path))
