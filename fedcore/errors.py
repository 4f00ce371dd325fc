"""Every way in which fedcore says no, as one tree.

A message is one sentence for the person who can act on it: which file or place, which field,
which value, and what to do. It never holds a patient's data: studies are named by fingerprint.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FedcoreError(Exception):
    """The root: whatever fedcore raises on purpose, it raises as one of these.

    `exit_code` is what a command line ends with: 2 for something the user wrote or gave,
    1 for something that happened on the way.
    """

    exit_code = 1


class InputError(FedcoreError):
    """Something that a person wrote or named is not usable."""

    exit_code = 2


class NoRoom(InputError):
    """This machine's disk is full; once there is room, the same thing can be tried again."""


class TaskFileError(InputError):
    """The task file is missing, unreadable or breaks the agreed schema."""


class PartyFileError(InputError):
    """The party file is missing, unreadable or breaks the agreed schema."""


class PolicyError(InputError):
    """The hospital's policy file is missing, unreadable or breaks its schema."""


class JobRefused(FedcoreError):
    """The hospital refuses a training: `reason` is a short word, `sentence` says why.

    Both are told to the coordinator, so neither holds anything of the data.
    """

    def __init__(self, reason: str, sentence: str) -> None:
        """Remember the countable `reason` and the `sentence` for a person."""
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence


class DataError(InputError):
    """A party's data folder cannot be used as it is."""


class ContractBroken(DataError):
    """A party's data fails the data contract (too few patients, a class missing, ...)."""


class Quarantined(DataError):
    """One file cannot be used; `reason` is a short, fixed word that can be counted."""

    def __init__(self, reason: str, detail: str = "") -> None:
        """Remember the countable `reason` and a `detail` that stays at the hospital."""
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class ModelError(InputError):
    """A model name, input size or weights file does not fit."""


class TrainingFailed(FedcoreError):
    """Local training broke down: its loss is no number any more, or memory ran out."""


class ExchangeError(FedcoreError):
    """The root of what an object store can answer instead of doing as asked."""


class NotThere(ExchangeError):
    """The store was reached and has no such object."""


class Removed(NotThere):
    """The object was there and went, as the task file's retention says; it does not come back."""


class NotAllowed(ExchangeError):
    """The store was reached and refuses these credentials, or the folder is not writable."""

    exit_code = 2


class Unreachable(ExchangeError):
    """The store did not answer; trying again later is sensible."""


class Conflict(ExchangeError):
    """The key is written already, with other bytes; write-once objects never change."""


class Refused(FedcoreError):
    """An object failed an admission check; `reason` is a short, fixed word that can be counted."""

    def __init__(self, reason: str, detail: str = "") -> None:
        """Remember the countable `reason` and a `detail` for the log."""
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class QuorumNotMet(FedcoreError):
    """Too few replies were admitted; the round is void."""


class RunMismatch(InputError):
    """The two sides do not mean the same training (task file, code or data differ)."""


class Superseded(FedcoreError):
    """A later process acts for the same side of the run; this one has nothing more to do."""

    exit_code = 3


class LedgerBroken(FedcoreError):
    """A ledger entry was changed, dropped or swapped; `index` is the first that fails."""

    def __init__(self, message: str, index: int) -> None:
        """Remember the `index` (from 0) of the first entry that does not verify."""
        super().__init__(message)
        self.index = index


class Interrupted(FedcoreError):
    """The user stopped the run; the message says how to go on."""

    exit_code = 130


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known names there are, the nearest first: a remedy for a mistyped name."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"{hint}known: {shown}"


def problem(where: object, field: str, value: object, remedy: str) -> str:
    """One sentence in the house's form: `FILE: FIELD is VALUE: REMEDY`."""
    return f"{where}: {field} is {_brief(value)}: {remedy}"


def amount(count: int, singular: str, plural: str | None = None) -> str:
    """`1 image`, `1,650 images`."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def listing(names: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    known = list(names)
    if len(known) < 2:
        return "".join(known)
    return f"{', '.join(known[:-1])} and {known[-1]}"


def _brief(value: object) -> str:
    """A value as the user wrote it, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= 120 else text[:60] + "..." + text[-57:]
