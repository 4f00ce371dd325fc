"""What is sent: a local file that is held open, or a body in memory; read by place, more than once.

A file that is held open stays the one that it was when another gets its name.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from fedcore.audit import durable
from fedcore.errors import InputError


class Source(Protocol):
    """Bytes that are there as a whole."""

    @property
    def size(self) -> int:
        """How many bytes there are."""
        ...

    def read_at(self, start: int, length: int) -> bytes | memoryview:
        """The bytes from `start`, `length` of them."""
        ...

    def identity(self) -> str:
        """Never the same for other bytes, also for who opens it later."""
        ...

    def version(self) -> str:
        """Another one once somebody has written to what is open here."""
        ...


class InMemory:
    """A body in memory, which nobody changes while it is sent; given out without copies."""

    def __init__(self, body: bytes | memoryview) -> None:
        """The bytes of `body`."""
        self._view = memoryview(body).cast("B")
        self.size = self._view.nbytes

    def read_at(self, start: int, length: int) -> memoryview:
        """See `Source`."""
        return self._view[start : start + length]

    def identity(self) -> str:
        """See `Source`: nobody can open it later."""
        return ""

    def version(self) -> str:
        """See `Source`: nobody writes to it."""
        return ""


class OpenFile:
    """A local file, open for reading."""

    def __init__(self, path: Path, descriptor: int) -> None:
        """`path` is what an error names."""
        self._path, self._descriptor = path, descriptor
        self.size = os.fstat(descriptor).st_size

    def read_at(self, start: int, length: int) -> bytes:
        """See `Source`."""
        return os.pread(self._descriptor, length, start)

    def identity(self) -> str:
        """See `Source`. The last change of any kind tells also of times that were set back."""
        found = os.fstat(self._descriptor)
        return f"{found.st_dev}-{found.st_ino}-{found.st_mtime_ns}-{found.st_ctime_ns}"

    def version(self) -> str:
        """See `Source`; `InputError` when the file has become longer or shorter."""
        found = os.fstat(self._descriptor)
        if found.st_size != self.size:
            remedy = "leave it as it is until it has been sent"
            raise InputError(f"{self._path}: its length changed while it was sent: {remedy}")
        return str(found.st_mtime_ns)


@contextlib.contextmanager
def open_file(path: Path) -> Iterator[OpenFile]:
    """The file at `path` as a source; `InputError` if it cannot be read."""
    with durable.readable(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield OpenFile(path, descriptor)
    finally:
        os.close(descriptor)


def pieces(
    source: Source, start: int = 0, length: int | None = None
) -> Iterator[bytes | memoryview]:
    """The bytes from `start`, `length` of them (`None`: all that follow), a piece at a time."""
    end = source.size if length is None else start + length
    for at in range(start, end, durable.CHUNK):
        yield source.read_at(at, min(durable.CHUNK, end - at))


def md5(source: Source, start: int = 0, length: int | None = None) -> str:
    """MD5 of a stretch in hex, which is what S3 calls a part by."""
    total = hashlib.md5(usedforsecurity=False)
    for piece in pieces(source, start, length):
        total.update(piece)
    return total.hexdigest()
