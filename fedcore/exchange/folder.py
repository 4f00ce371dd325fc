"""A store in a folder that all parties see: a network share, or a local disk for trials.

A write goes to a hidden temporary file and gets its name in one step that never replaces, so
readers see whole objects only and of several writers one wins. What a killed writer leaves is
hidden and swept away later. Symbolic links are not followed for objects: a party that may write
here must not make another one read its private files.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from weakref import WeakValueDictionary

from fedcore.audit import durable
from fedcore.audit.written import Written
from fedcore.errors import Conflict, ExchangeError, NotAllowed, NotThere, Unreachable
from fedcore.exchange.folder_names import files_below
from fedcore.exchange.keys import require_key, require_prefix
from fedcore.exchange.passing import Passing
from fedcore.exchange.removed import was_removed
from fedcore.exchange.store import require_range
from fedcore.exchange.throttle import Throttle
from fedcore.exchange.whole import Whole

Pieces = Callable[[], Iterable[bytes | memoryview]]
REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
MISPLACED = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENXIO}
)


class FolderStore:
    """An `ObjectStore` whose keys are paths below `root`; safe for several processes."""

    def __init__(
        self,
        root: Path,
        link: durable.Link = durable.hard_link,
        throttle: Throttle | None = None,
        *,
        lasting: bool = True,
    ) -> None:
        """Nothing is touched yet; `link` is how the file system gives a file a second name.

        `throttle` says how fast, and large objects at which hours, may travel. What is not
        `lasting`, in a temporary folder, is whole to every process and not safe from a power cut.
        """
        self.own = None if lasting else _OwnFolder(self)
        self._lasting = lasting
        self._root = root
        self._link = link
        self._throttle = throttle or Throttle()

    def prepare(self) -> None:
        """Make the folder if it is not there; `NotAllowed` if that is refused."""
        blocking = next((one for one in (self._root, *self._root.parents) if one.is_file()), None)
        if blocking is not None:
            raise NotAllowed(
                f"exchange folder {self._root}: {blocking} is a file: name a folder in its place"
            )
        with self._translated("making it"):
            self._root.mkdir(parents=True, exist_ok=True)

    def put_once(self, key: str, body: bytes | memoryview) -> None:
        """See `ObjectStore`."""
        self._throttle.await_window(require_key(key), memoryview(body).nbytes)
        self._put(key, lambda: durable.pieces_of(body))

    def put_file_once(self, key: str, path: Path) -> None:
        """See `ObjectStore`. A file that nobody may write to is not copied where that can be."""
        with durable.readable(path):
            size, final = path.stat().st_size, durable.is_final(path)
        self._throttle.await_window(require_key(key), size)
        if not (final and self._named(key, path)):
            self._put(key, lambda: durable.chunks_of(path))

    def forget(self, key: str, note: bytes) -> None:
        """See `ObjectStore`. A file that others hold by another name is theirs, and stays so."""
        self.size(key)
        target = self._path(key)
        with self._translated(key, writing=True):
            durable.write_part(target.parent, [note], lasting=self._lasting).replace(target)
        self._flush(target.parent)

    def get(self, key: str) -> bytes:
        """See `ObjectStore`."""
        with self._translated(key), self._open(key) as file:
            return file.read()

    def view(self, key: str) -> memoryview:
        """See `ObjectStore`."""
        with self._translated(key), self._open(key) as file:
            whole = Whole(os.fstat(file.fileno()).st_size)
            whole.read(file)
            return whole.view()

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """See `ObjectStore`."""
        require_range(start, length)
        with self._translated(key), self._open(key) as file:
            file.seek(start)
            return file.read(length)

    def get_to_file(self, key: str, path: Path) -> str:
        """See `ObjectStore`."""
        passing = Passing(self._chunks(key))
        durable.replace_with(path, passing, lasting=False)
        return passing.sha256()

    def size(self, key: str) -> int:
        """See `ObjectStore`."""
        with self._translated(key), self._open(key) as file:
            return os.fstat(file.fileno()).st_size

    def exists(self, key: str) -> bool:
        """See `ObjectStore`."""
        try:
            self.size(key)
        except NotThere:
            return False
        return True

    def keys(self, prefix: str = "", after: str = "") -> list[str]:
        """See `ObjectStore`."""
        folder = require_prefix(prefix).rpartition("/")[0]
        with self._translated(folder):
            self._require_root()
            found = files_below(self._root / folder, f"{folder}/" if folder else "", after)
            return sorted(key for key in found if key.startswith(prefix) and key > after)

    def _put(self, key: str, pieces: Pieces) -> None:
        target = self._path(key)
        with self._translated(key, writing=True):
            self._make_folders(target.parent)
            pieced = self._paced(pieces())
            part = durable.write_part(target.parent, pieced, lasting=self._lasting)
            durable.sweep(target.parent, now=part.stat().st_mtime)
            won = durable.publish(part, target, self._link, lasting=self._lasting)
        if not won and not self._holds(key, pieces):
            raise Conflict(f"exchange: {key} is written already, with other bytes")

    def _named(self, key: str, path: Path) -> bool:
        """Give the file itself the key's name; whether that was possible and the name was free."""
        target = self._path(key)
        with self._translated(key, writing=True):
            self._make_folders(target.parent)
        try:
            self._link(path, target)
        except OSError:  # taken, another file system, or one without hard links: `_put` says which
            return False
        self._flush(target.parent)
        return True

    def _holds(self, key: str, pieces: Pieces) -> bool:
        try:
            there, mine = durable.hash_chunks(self._chunks(key)), durable.hash_chunks(pieces())
            return there == mine or was_removed(self, key, mine)
        except NotThere:
            return False

    def _paced(self, pieces: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
        for piece in pieces:
            self._throttle.up(len(piece))
            yield piece

    def _make_folders(self, folder: Path) -> None:
        """Make the folders below the root, which itself must be there: it may be a mount."""
        self._require_root()
        missing = [place for place in (folder, *folder.parents) if not place.exists()]
        for place in reversed(missing):
            place.mkdir(exist_ok=True)
            self._flush(place.parent)

    def _flush(self, folder: Path) -> None:
        if self._lasting:
            durable.flush_folder(folder)

    def _require_root(self) -> None:
        if not stat.S_ISDIR(self._root.stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))

    def _path(self, key: str) -> Path:
        return self._root / require_key(key)

    def _open(self, key: str) -> io.BufferedReader:
        # Not blocking: a named pipe in an object's place must not hang the reader.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self._path(key), flags)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return os.fdopen(descriptor, "rb")

    def _chunks(self, key: str) -> Iterator[bytes]:
        with self._translated(key), self._open(key) as file:
            while chunk := file.read(durable.CHUNK):
                self._throttle.down(len(chunk))
                yield chunk

    @contextlib.contextmanager
    def _translated(self, key: str, writing: bool = False) -> Iterator[None]:
        """Say what the operating system answered in the exchange's own errors."""
        try:
            yield
        except OSError as error:
            raise self._answer(key, error, writing) from error

    def _answer(self, key: str, error: OSError, writing: bool) -> ExchangeError:
        place = f"exchange folder {self._root}: {key}: {error.strerror}"
        if error.errno in REFUSED:
            return NotAllowed(f"{place}: give this user the right to read and write there")
        if error.errno in MISPLACED and self._rooted():
            if writing:
                return Conflict(f"{place}: a file and a folder cannot share a name: rename one")
            return NotThere(f"exchange: {key} is not there")
        return Unreachable(f"{place}: mount the folder and see that its disk is well and has room")

    def _rooted(self) -> bool:
        try:
            self._require_root()
        except OSError:
            return False
        return True


class _OwnFolder:
    """See `Own`: what this process wrote into the folder is known by its file's stamp.

    And while somebody still holds the body that was written, it need not be read either.
    """

    in_memory = False

    def __init__(self, store: FolderStore) -> None:
        self._store, self._written = store, Written()
        self._held: WeakValueDictionary[str, memoryview] = WeakValueDictionary()

    def put_hashed_once(self, key: str, body: memoryview, sha256: str) -> None:
        self._store.put_once(key, body)
        self._note(key, body, sha256)

    def put_hashed_file_once(self, key: str, path: Path, sha256: str) -> None:
        self._store.put_file_once(key, path)
        self._written.note(self._store._path(key), sha256)

    def put_again(self, key: str, standing: str, body: memoryview, sha256: str) -> None:
        if self._sha256(standing) == sha256 and self._store._named(
            key, self._store._path(standing)
        ):
            self._note(key, body, sha256)
        else:
            self.put_hashed_once(key, body, sha256)

    def known(self, key: str) -> tuple[memoryview, str] | None:
        if (before := self._sha256(key)) is None:
            return None
        body = self._held.get(key)
        body = self._store.view(key) if body is None else body
        return (body, before) if self._sha256(key) == before else None

    def _note(self, key: str, body: memoryview, sha256: str) -> None:
        self._written.note(self._store._path(key), sha256)
        if body.readonly:
            self._held[key] = body

    def _sha256(self, key: str) -> str | None:
        with self._store._translated(key), self._store._open(key) as file:
            return self._written.sha256(self._store._path(key), os.fstat(file.fileno()))
