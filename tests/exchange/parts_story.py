"""A bucket of a test's own for uploads in parts of a few bytes, and what may happen to them."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping

from fedcore.errors import Conflict, NotAllowed, Unreachable
from fedcore.exchange.s3_answers import UploadGone
from fedcore.exchange.s3_parts import Part, Stored
from fedcore.exchange.sources import Source

PART = 4


class Killed(Exception):
    """The process is gone before, or right after, a call."""


class Bucket:
    """What S3 keeps, with parts of a few bytes; `fault` ends the call of that number."""

    def __init__(self, *, plain: bool = True, listing: bool = True) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, tuple[str, bytes]]] = {}
        self.asked: list[str] = []
        self.fault: tuple[int, bool, Exception] | None = None
        self.on_call = lambda: None
        self._plain, self._listing, self._names = plain, listing, itertools.count(1)

    def stands(self, key: str) -> bool:
        return self._act("head", lambda: key in self.objects)

    def begin(self, key: str, *, patient: bool) -> str:
        name = f"{key}#{next(self._names):03d}"
        return self._act("begin", lambda: (self.uploads.setdefault(name, {}), name)[1])

    def open_uploads(self, key: str) -> list[str]:
        self._require_listing()
        return self._act("list", lambda: sorted(self.uploads))

    def stored_parts(self, key: str, upload: str) -> dict[int, Stored]:
        self._require_listing()
        return self._act(
            "parts",
            lambda: {n: Stored(tag, len(body)) for n, (tag, body) in self._open(upload).items()},
        )

    def send_part(self, key: str, upload: str, source: Source, part: Part) -> str:
        def keep() -> str:
            body = bytes(source.read_at(part.start, part.length))
            tag = f'"{hashlib.md5(body).hexdigest() if self._plain else next(self._names)}"'
            self._open(upload)[part.number] = (tag, body)
            return tag

        return self._act(f"send {part.number}", keep)

    def complete(self, key: str, upload: str, tags: Mapping[int, str]) -> None:
        def make() -> None:
            there = self._open(upload)
            if {n: there[n][0] for n in tags} != dict(tags):
                raise Unreachable("InvalidPart")
            if key in self.objects:
                raise Conflict(key)
            self.objects[key] = b"".join(there[n][1] for n in tags)
            del self.uploads[upload]

        self._act("complete", make)

    def abort(self, key: str, upload: str) -> None:
        self._act("abort", lambda: self._open(upload) and None)
        self.uploads.pop(upload, None)

    def _require_listing(self) -> None:
        if not self._listing:
            raise NotAllowed("no listing here")

    def _open(self, upload: str) -> dict[int, tuple[str, bytes]]:
        if upload not in self.uploads:
            raise UploadGone(upload)
        return self.uploads[upload]

    def _act(self, name: str, act):
        self.asked.append(name)
        self.on_call()
        number, after, fault = self.fault or (0, False, Killed())
        if len(self.asked) == number and not after:
            raise fault
        told = act()
        if len(self.asked) == number:
            raise fault
        return told


def parts_of(size: int) -> list[Part]:
    return [
        Part(number, start, min(PART, size - start))
        for number, start in enumerate(range(0, size, PART), start=1)
    ]
