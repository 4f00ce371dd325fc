"""One line of a ledger: what was done, signed, and tied to the line before it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from fedcore.audit.canonical import canonical, read_canonical
from fedcore.audit.signing import SigningKey, verify
from fedcore.errors import Refused

NOTHING_BEFORE = "0" * 64
MAX_LINE = 16_384
KIND = re.compile(r"[a-z][a-z0-9_]{0,63}")
FIELDS = frozenset({"at", "index", "kind", "previous", "signature", "subject"})
DOMAIN = b"fedcore ledger entry 1\n"
Subject = dict[str, Any]


@dataclass(frozen=True)
class Head:
    """The newest entry's index (-1: none yet) and hash: enough to notice a cut tail later."""

    index: int
    hash: str


@dataclass(frozen=True)
class Entry:
    """An entry as it stands in the ledger; `line` is its bytes without the newline."""

    index: int
    previous: str
    kind: str
    subject: Subject
    at: str
    signature: str

    @classmethod
    def sign(cls, head: Head, kind: str, subject: Subject, now: float, key: SigningKey) -> Self:
        """The entry after `head`, at `now` (seconds since 1970).

        Raises `ValueError` for a kind that is no lower-case word and for a subject that is not
        small and plain.
        """
        if not KIND.fullmatch(kind):
            raise ValueError(f"ledger: kind is {kind!r}: use a lower-case word")
        at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
        unsigned = cls(head.index + 1, head.hash, kind, subject, at, "")
        entry = cls(**{**vars(unsigned), "signature": key.sign(unsigned.message)})
        if len(entry.line) > MAX_LINE:
            raise ValueError(f"ledger: the subject of {kind} is large: name things by their hash")
        return cls.read(entry.line)

    @classmethod
    def read(cls, line: bytes) -> Self:
        """The inverse of `line`; `Refused` when the bytes are no entry. Checks no signature."""
        if len(line) > MAX_LINE:
            raise Refused("not_an_entry", "the line is too long")
        content = read_canonical(line, "not_an_entry")
        if content.keys() != FIELDS or type(content["index"]) is not int:
            raise Refused("not_an_entry", "the fields are not those of an entry")
        texts = (content[name] for name in ("at", "kind", "previous", "signature"))
        if not all(isinstance(text, str) for text in texts):
            raise Refused("not_an_entry", "a field has the wrong type")
        if not isinstance(content["subject"], dict):
            raise Refused("not_an_entry", "the subject is no object")
        return cls(**content)

    @property
    def message(self) -> bytes:
        """What is signed: everything but the signature, under a name of its own."""
        unsigned = {name: value for name, value in vars(self).items() if name != "signature"}
        return DOMAIN + canonical(unsigned)

    @property
    def line(self) -> bytes:
        """The entry's canonical bytes."""
        return canonical(vars(self))

    @property
    def head(self) -> Head:
        """The entry's index and the hash of its line."""
        return Head(self.index, hashlib.sha256(self.line).hexdigest())

    def fault(self, before: Head, public: str) -> str | None:
        """Why this entry cannot follow `before` in the ledger of `public`; `None` if it can."""
        if self.index != before.index + 1:
            return f"carries the index {self.index}"
        if self.previous != before.hash:
            return "does not follow from the entry before it"
        if not verify(public, self.message, self.signature):
            return "is not signed with the ledger's key"
        return None

    def describe(self) -> str:
        """One line for a person: number, time, what was done, to what."""
        subject = " ".join(f"{name}={value}" for name, value in sorted(self.subject.items()))
        return f"#{self.index} {self.at} {self.kind} {subject}".rstrip()
