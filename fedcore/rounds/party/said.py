"""What a party has said in this training: objects of its own, which nobody else writes."""

from __future__ import annotations

from fedcore.exchange.store import ObjectStore


class Said:
    """Which of the party's own objects stand in the exchange, each asked for once.

    It holds as long as one process acts for the party, and a fence ends the one that began before.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._stands: dict[str, bool] = {}
        self.last = ""

    def stands(self, store: ObjectStore, key: str) -> bool:
        """Whether the object is there."""
        if key not in self._stands:
            self._stands[key] = store.exists(key)
        return self._stands[key]

    def missed(self, key: str) -> bool:
        """Whether it was not there when it was asked for, and nobody here has tried to write it."""
        return self._stands.get(key) is False

    def begin(self, key: str) -> None:
        """It is about to be written: whether it stands is open until `done`."""
        self._stands.pop(key, None)

    def done(self, key: str) -> None:
        """It is written; `last` is the name of what was written last, without its folder."""
        self._stands[key] = True
        self.last = key.rpartition("/")[2]
