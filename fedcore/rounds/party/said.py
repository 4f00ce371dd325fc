"""What a party has said in this training: objects of its own, which nobody else writes."""

from __future__ import annotations

from collections.abc import Iterable

from fedcore.exchange.store import ObjectStore


class Said:
    """Which of the party's own objects stand in the exchange, each asked for once.

    It holds as long as one process acts for the party, and a fence ends the one that began before.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._stands: dict[str, bool] = {}
        self._asked: set[str] | None = None
        self._new: set[str] = set()
        self.last = ""

    def stands(self, store: ObjectStore, key: str) -> bool:
        """Whether the object is there."""
        if key not in self._stands:
            self._stands[key] = store.exists(key)
        return self._stands[key]

    def look(self, questions: Iterable[str]) -> None:
        """Note what the coordinator has asked by now, as one look has shown it."""
        there = set(questions)
        self._new = set() if self._asked is None else there - self._asked
        self._asked = there | (self._asked or set())

    def answered(self, store: ObjectStore, key: str, question: str) -> bool:
        """Whether the answer stands; nobody can have answered what came since the look before."""
        if question in self._new:
            self._stands.setdefault(key, False)
        return self.stands(store, key)

    def missed(self, key: str) -> bool:
        """Whether it was not there at the last look, and nobody here has tried to write it."""
        return self._stands.get(key) is False

    def begin(self, key: str) -> None:
        """It is about to be written: whether it stands is open until `done`."""
        self._stands.pop(key, None)

    def done(self, key: str) -> None:
        """It is written; `last` is the name of what was written last, without its folder."""
        self._stands[key] = True
        self.last = key.rpartition("/")[2]
