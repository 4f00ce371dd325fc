"""What a process has in memory already: it only ever saves reading and checking it again.

Everything that counts lies in the exchange and in the spool. A desk of its own remembers nothing;
the desks of a simulation share one memory, so that a global model is opened once for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from fedcore.params import Array, Params


class Near:
    """The newest global models, checked, and the newest update, each known by its SHA-256."""

    def __init__(self, most: int = 0) -> None:
        """Keep `most` models: 2 are what a round starts from and what it makes; 0 keeps nothing."""
        self._most = most
        self._models: dict[str, Params] = {}
        self._update: tuple[str, bytes] = ("", b"")

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

    def update(self, sha256: str) -> bytes | None:
        """The bytes that hash to `sha256`; `None` if they are not the newest."""
        known, body = self._update
        return body if body and known == sha256 else None

    def keep_update(self, sha256: str, body: bytes) -> None:
        """Remember an update that has just been spooled."""
        if self._most:
            self._update = (sha256, body)
