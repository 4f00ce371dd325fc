"""What a process has in memory already: it only ever saves reading and checking it again.

Everything that counts lies in the exchange and in the spool. A desk of its own remembers nothing;
the desks of a simulation share one memory, so that a global model is opened once for all of them,
and a session keeps the model that it has scored, from which its next training starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fedcore.audit.written import Written
from fedcore.params import Array, Params


class Near:
    """The newest global models, known by their SHA-256, and the updates that wait in the spool."""

    def __init__(self, most: int = 0, *, shared: bool = True) -> None:
        """Keep `most` models: 2 are what a round starts from and what it makes; 0 keeps nothing.

        `shared` says whether it is that of several desks: then updates are remembered, too.
        """
        self._most = most
        self.shared = shared and most > 0
        self._models: dict[str, Params] = {}
        self._updates: dict[Path, tuple[str, memoryview]] = {}
        self._written = Written()

    def model(self, sha256: str) -> Params | None:
        """The model whose bytes hash to `sha256`, its arrays read-only; `None` if not here."""
        known = self._models.get(sha256)
        return None if known is None else dict(known)

    def keep_model(self, sha256: str, params: Mapping[str, Array]) -> None:
        """Remember a model that was checked against `sha256`; nobody may change its arrays now."""
        if not self._most:
            return
        for array in params.values():
            array.flags.writeable = False
        self._models[sha256] = dict(params)
        while len(self._models) > self._most:
            del self._models[next(iter(self._models))]

    def update(self, place: Path, sha256: str) -> memoryview | None:
        """What waits in the spool at `place`, if it hashes to `sha256`; `None` if not here."""
        known, body = self._updates.get(place, ("", None))
        return body if known == sha256 else None

    def keep_update(self, place: Path, sha256: str, body: memoryview) -> None:
        """Remember what waits in the spool at `place`."""
        if self.shared:
            self._updates[place] = (sha256, body)

    def forget_update(self, place: Path) -> None:
        """It has left, or lies on the disk."""
        self._updates.pop(place, None)
        self._written.forget(place)

    def keep_written(self, place: Path, sha256: str) -> None:
        """Remember that this process wrote the file at `place`, whose bytes hash to `sha256`."""
        self._written.note(place, sha256)

    def written(self, place: Path, sha256: str) -> bool:
        """Whether the file at `place` is the one that this process wrote, and not touched since."""
        return place.exists() and self._written.sha256(place, place.stat()) == sha256
