"""A store in this process's memory: for the simulation and for tests."""

from __future__ import annotations

import threading
from pathlib import Path, PurePosixPath
from typing import Self

from fedcore.audit import durable
from fedcore.errors import Conflict, NotThere
from fedcore.exchange.keys import require_key, require_prefix
from fedcore.exchange.passing import Passing
from fedcore.exchange.store import require_range


class MemoryStore:
    """An `ObjectStore` for the threads of one process; it is gone with the process."""

    in_memory = True

    def __init__(self, *, keeps: bool = True) -> None:
        """Start empty; `keeps` is whether what is to be forgotten stays all the same."""
        self._keeps = keeps
        self._objects: dict[str, memoryview] = {}
        self._hashes: dict[str, str] = {}
        self._folders: set[str] = set()
        self._lock = threading.Lock()

    @property
    def own(self) -> Self:
        """See `ObjectStore`."""
        return self

    def prepare(self) -> None:
        """There is nothing to make."""

    def put_once(self, key: str, body: bytes | memoryview) -> None:
        """See `ObjectStore`. A read-only body is not copied: nobody may change it from now on."""
        view = memoryview(body).cast("B")
        content = view if view.readonly else memoryview(bytes(view))
        above = {str(folder) for folder in PurePosixPath(require_key(key)).parents}
        with self._lock:
            if key in self._folders or any(folder in self._objects for folder in above):
                raise Conflict(f"exchange: {key} would be an object and a folder: rename it")
            known = self._objects.setdefault(key, content)
            if known is not content and known != content:
                raise Conflict(f"exchange: {key} is written already, with other bytes")
            self._folders |= above

    def put_hashed_once(self, key: str, body: memoryview, sha256: str) -> None:
        """See `Own`."""
        self.put_once(key, body)
        with self._lock:
            standing = self._objects.get(key)
            if standing is not None and standing.obj is body.obj:
                self._hashes[key] = sha256

    def put_hashed_file_once(self, key: str, path: Path, sha256: str) -> None:
        """See `Own`."""
        self.put_hashed_once(key, memoryview(b"".join(durable.chunks_of(path))), sha256)

    def known(self, key: str) -> tuple[memoryview, str] | None:
        """See `Own`. Writer and reader share this memory, in which nobody may change the object."""
        body = self.view(key)
        with self._lock:
            known = self._hashes.get(key) if self._objects.get(key) is body else None
        return None if known is None else (body, known)

    def put_again(self, key: str, standing: str, body: memoryview, sha256: str) -> None:  # noqa: ARG002 (a body in memory is never copied)
        """See `Own`."""
        self.put_hashed_once(key, body, sha256)

    def forget(self, key: str) -> None:
        """See `Own`."""
        with self._lock:
            if require_key(key) in self._objects and not self._keeps:
                self._objects[key] = memoryview(b"")
                self._hashes.pop(key, None)

    def put_file_once(self, key: str, path: Path) -> None:
        """See `ObjectStore`."""
        self.put_once(key, b"".join(durable.chunks_of(path)))

    def get(self, key: str) -> bytes:
        """See `ObjectStore`."""
        return bytes(self.view(key))

    def view(self, key: str) -> memoryview:
        """See `ObjectStore`."""
        with self._lock:
            body = self._objects.get(require_key(key))
        if body is None:
            raise NotThere(f"exchange: {key} is not there")
        return body

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """See `ObjectStore`."""
        require_range(start, length)
        return bytes(self.view(key)[start : start + length])

    def get_to_file(self, key: str, path: Path) -> str:
        """See `ObjectStore`."""
        passing = Passing([self.view(key)])
        durable.replace_with(path, passing, lasting=False)
        return passing.sha256()

    def size(self, key: str) -> int:
        """See `ObjectStore`."""
        return self.view(key).nbytes

    def exists(self, key: str) -> bool:
        """See `ObjectStore`."""
        with self._lock:
            return require_key(key) in self._objects

    def keys(self, prefix: str = "", after: str = "") -> list[str]:
        """See `ObjectStore`."""
        require_prefix(prefix)
        with self._lock:
            return sorted(key for key in self._objects if key.startswith(prefix) and key > after)
