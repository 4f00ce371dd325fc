"""Naming many parties: in the ledger all, in several entries, and in a sentence the first few.

An entry of the ledger is small. No name in it is left out or only hashed: whoever holds the ledger
needs no other object to see who was invited to a round of ten thousand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from fedcore.audit.canonical import canonical
from fedcore.audit.entry import MAX_LINE, Subject
from fedcore.audit.ledger import Ledger

# What an entry holds besides the names stays well below the rest of a line.
ROOM = MAX_LINE * 3 // 4
# How many parties a sentence for a person names.
FEW = 20
Names = Sequence[str] | Mapping[str, str]


def note_named(ledger: Ledger, kind: str, subject: Subject, field: str, names: Names) -> None:
    """Enter `subject` with all names under `field`, and where it is a mapping what is said of each.

    Once, also when repeated; in as many entries as it takes, and in one where nobody is named.
    """
    for some in _parts(names):
        ledger.append_once(kind, {**subject, field: some})


def few(said: Iterable[str], separator: str = ", ") -> str:
    """What is said of the first parties, and of how many more there would be something to say."""
    words = iter(said)
    parts = list(islice(words, FEW))
    left = sum(1 for _ in words)
    return separator.join([*parts, f"and {left:,} more"] if left else parts)


def _parts(names: Names) -> Iterator[list[str] | dict[str, str]]:
    """The names in their order, in parts of at most `ROOM` bytes, or of one name."""
    said = names if isinstance(names, Mapping) else dict.fromkeys(names, "")
    part: dict[str, str] = {}
    size = 0
    for name, word in said.items():
        more = len(canonical({name: word}))
        if part and size + more > ROOM:
            yield _like(names, part)
            part, size = {}, 0
        part[name] = word
        size += more
    if part or not names:
        yield _like(names, part)


def _like(names: Names, part: dict[str, str]) -> list[str] | dict[str, str]:
    return part if isinstance(names, Mapping) else list(part)
