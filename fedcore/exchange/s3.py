"""A store in an S3 bucket.

An object is created by a conditional write (`If-None-Match: *`), so of several writers the server
names one winner; large bodies go up in parts with the condition on their completion, and come down
from where a cut left them. Credentials and pre-signed URLs never enter a message.
"""

from __future__ import annotations

import contextlib
import functools
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from fedcore.audit import durable
from fedcore.errors import Conflict, NotAllowed, NotThere, Unreachable
from fedcore.exchange.keys import FOLDERS, require_key, require_prefix
from fedcore.exchange.removed import MOST, was_removed
from fedcore.exchange.s3_answers import NO_BUCKET, BeyondTheEnd
from fedcore.exchange.s3_calls import S3Calls
from fedcore.exchange.s3_line import STALL_SECONDS, connect
from fedcore.exchange.s3_notes import Beside, Book, Unwritten
from fedcore.exchange.s3_parts import MULTIPART, Upload, end_forgotten, tag_of
from fedcore.exchange.sources import InMemory, Source, open_file, pieces
from fedcore.exchange.steady import Opened, fetch_to_file, steadily
from fedcore.exchange.store import require_range
from fedcore.exchange.throttle import Throttle
from fedcore.exchange.whole import Whole


class S3Store:
    """An `ObjectStore` in one bucket of any S3 server that keeps conditional writes."""

    own = None

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        environ: Mapping[str, str],
        throttle: Throttle | None = None,
        *,
        stall: float = STALL_SECONDS,
        pause: Callable[[float], None] = time.sleep,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Connects on first use; `NotAllowed` when `environ` holds no credentials.

        Read from it: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if they are there,
        AWS_SESSION_TOKEN, AWS_CA_BUNDLE, AWS_REGION. A transfer is given up once nothing has moved
        for `stall` seconds, however long it takes; `throttle` says how fast and when it may move.
        """
        self._place = f"exchange {endpoint}/{bucket}"
        throttle = throttle or Throttle()
        self._bucket_seen = False
        self._pause, self._wall = pause, wall
        # By key, uploads from memory that failed and could not be given up.
        self._left: dict[str, str] = {}
        line = connect(endpoint, self._place, environ, throttle, stall)
        self._calls = S3Calls(line, bucket, self._place, throttle, pause=pause, wall=wall)

    def prepare(self) -> None:
        """Make the bucket if it is not there; if it is, end the uploads that were forgotten."""
        try:
            self._calls.head_bucket()
        except NotThere:
            self._calls.create_bucket()
        else:
            end_forgotten(self._calls, self._wall(), FOLDERS)

    def put_once(self, key: str, body: bytes | memoryview) -> None:
        """See `ObjectStore`. Nobody may change the body meanwhile; a large one goes up in parts.

        An upload that fails is given up, or gone on with in the next call where that fails, too.
        """
        book = Unwritten(self._left.pop(require_key(key), ""))
        try:
            self._put(key, InMemory(body), book)
        finally:
            if book.upload:
                self._left[key] = book.upload

    def put_file_once(self, key: str, path: Path) -> None:
        """See `ObjectStore`.

        A file of 8 MiB or more goes up in parts: each is tried again by itself, and what has
        arrived is not sent again, neither in this call nor in one after a cut or a kill.
        """
        require_key(key)
        with open_file(path) as source:
            self._put(key, source, Beside(path))

    def forget(self, key: str, note: bytes) -> None:
        """See `ObjectStore`. Written over, as one call: the server frees what was there."""
        self.size(key)
        self._calls.replace(key, InMemory(note))

    def get(self, key: str) -> bytes:
        """See `ObjectStore`."""
        return bytes(self.view(key))

    def view(self, key: str) -> memoryview:
        """See `ObjectStore`."""
        require_key(key)
        arriving: list[Whole] = []
        opening = functools.partial(self._open, key)
        for chunk in steadily(
            opening, self._pause, on_open=lambda found: arriving.append(Whole(found.size))
        ):
            arriving[0].take(chunk)
        return arriving[0].view()

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """See `ObjectStore`."""
        require_range(start, length)
        if length == 0:
            self.size(key)
            return b""
        require_key(key)
        opening = functools.partial(self._open_range, key, start, start + length)
        try:
            return b"".join(steadily(opening, self._pause))
        except BeyondTheEnd:
            return b""

    def get_to_file(self, key: str, path: Path) -> str:
        """See `ObjectStore`. What a cut or killed call has fetched is not fetched again."""
        source = f"{self._place}/{require_key(key)}"
        return fetch_to_file(functools.partial(self._open, key), self._pause, path, source)

    def size(self, key: str) -> int:
        """See `ObjectStore`."""
        return self._head(key)[0]

    def exists(self, key: str) -> bool:
        """See `ObjectStore`."""
        try:
            self.size(key)
        except NotThere:
            return False
        return True

    def keys(self, prefix: str = "", after: str = "") -> list[str]:
        """See `ObjectStore`."""
        require_prefix(prefix)
        found = self._calls.pages(prefix, _bound(prefix, after))
        return sorted(key for key in found if key > after and key.startswith(prefix))

    def _put(self, key: str, source: Source, book: Book) -> None:
        """Write; when the key is taken, compare lengths first and then tags or bytes."""
        try:
            if source.size < MULTIPART:
                self._calls.put(key, source)
            else:
                Upload(self._calls, self._place, key, source, book).run()
        except Conflict:
            if not self._holds(key, source):
                raise

    def _holds(self, key: str, source: Source) -> bool:
        try:
            there, tag = self._head(key)
            if there != source.size and there > MOST:
                return False
            if there >= MULTIPART and tag.strip('"') == tag_of(source):
                return True
            mine = durable.hash_chunks(pieces(source))
            return durable.hash_chunks(self._chunks(key)) == mine or was_removed(self, key, mine)
        except NotThere:
            message = f"{self._place}: {key}: another writer is at it: try again"
            raise Unreachable(message) from None

    def _head(self, key: str) -> tuple[int, str]:
        require_key(key)
        try:
            return self._calls.head(key)
        except NotThere:
            self._require_bucket()
            raise

    def _open(self, key: str, start: int, etag: str | None) -> Opened:
        return self._calls.open(key, start, None, etag)

    def _open_range(self, key: str, start: int, end: int, at: int, etag: str | None) -> Opened:
        if at and start + at >= end:
            return Opened(etag or "", end, iter(()))
        return self._calls.open(key, start + at, end, etag)

    def _chunks(self, key: str) -> Iterator[bytes]:
        require_key(key)
        return steadily(functools.partial(self._open, key), self._pause)

    def _require_bucket(self) -> None:
        """A HEAD cannot tell a missing object from a missing bucket: ask once, if allowed to."""
        if self._bucket_seen:
            return
        try:
            with contextlib.suppress(NotAllowed):
                self._calls.head_bucket()
        except NotThere:
            raise Unreachable(f"{self._place}: {NO_BUCKET}") from None
        self._bucket_seen = True


def _bound(prefix: str, after: str) -> str:
    """A key to start the listing after: somewhat before `after`, and safe with every server.

    SeaweedFS 4.48 skips by its folders' order, in which `a/b` comes before `a-b`, and takes a
    folder's own name as passed with all that is in it. So the bound ends before the first `-` or
    `.` below the prefix's folder, just under the name that is left, where both orders agree.
    """
    folder = prefix[: prefix.rfind("/") + 1]
    if not after.startswith(folder):
        return ""
    sure = folder + re.split(r"[-.]", after[len(folder) :])[0]
    parent, last = sure[:-1], sure[-1:]
    if last in ("", "/"):
        return f"{sure}!" if sure else ""
    return f"{parent}!" if last == "0" else f"{parent}{chr(ord(last) - 1)}~"
