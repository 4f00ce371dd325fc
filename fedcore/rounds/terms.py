"""Terms: of several processes that act for one side of a run, the last that began is the one.

Whoever starts takes the next term, an object written once under the side's own prefix; whoever
finds a later term than his own says so and ends. Nothing that an older one still writes does harm:
every object is written once and stands. So this is no lock, and nobody waits for a dead holder.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from fedcore.audit.ledger import Ledger
from fedcore.audit.signing import SigningKey
from fedcore.config.base import Section
from fedcore.errors import Conflict, Superseded
from fedcore.exchange import keys
from fedcore.exchange.store import ObjectStore
from fedcore.rounds import departure, sealed

NUMBER = re.compile(r"/terms/(\d{5})\.json$")
# Seconds between two looks of somebody who only waits; before a decision everyone looks.
LOOK_EVERY = 5.0


class Term(Section):
    """One process's claim to act for `owner`; the nonce tells two claims to one number apart."""

    run: str
    owner: str
    number: int
    nonce: str


class Fence:
    """A side's own term, and whether a later one stands."""

    def __init__(
        self, store: ObjectStore, folder: str, owner: str, number: int, clock: Callable[[], float]
    ) -> None:
        """Guard term `number` of `owner` under `folder`."""
        self._store, self._owner, self.number = store, owner, number
        self._next = keys.term(folder, number + 1)
        self._clock, self._look_at = clock, clock() + LOOK_EVERY

    def require(self) -> None:
        """Raise `Superseded` if somebody began after us."""
        self._look_at = self._clock() + LOOK_EVERY
        if self._store.exists(self._next):
            raise Superseded(
                f"{self._owner}: another process took this run over (term {self.number + 1}); "
                "this one ends, nothing is lost: keep only one of them running"
            )

    def glance(self) -> None:
        """`require`, but only every few seconds: for loops that wait."""
        if self._clock() >= self._look_at:
            self.require()


class Unfenced:
    """Nobody else can act for this side: one process, one run."""

    def require(self) -> None:
        """Always well."""

    def glance(self) -> None:
        """Always well."""


def take(
    store: ObjectStore,
    key: SigningKey,
    term: tuple[str, str, str],
    random: Callable[[int], bytes],
    clock: Callable[[], float],
    ledger: Ledger | None = None,
) -> Fence:
    """Take the next term; `term` is the run, the owner and the folder of its objects.

    A party's `ledger` notes the claim before it leaves.
    """
    run, owner, folder = term
    number, nonce = _newest(store, folder) + 1, random(16).hex()
    while True:
        claim = Term(run=run, owner=owner, number=number, nonce=nonce)
        try:
            _claim(store, key, keys.term(folder, number), claim, ledger)
        except Conflict:  # somebody began at the same moment: after him, then
            number += 1
            continue
        return Fence(store, folder, owner, number, clock)


def _claim(
    store: ObjectStore, key: SigningKey, place: str, claim: Term, ledger: Ledger | None
) -> None:
    if ledger is None:
        sealed.publish(store, place, claim, key)
    else:
        departure.send(store, ledger, key, "term", place, claim)


def _newest(store: ObjectStore, folder: str) -> int:
    """The highest term that was ever taken; 0 if none."""
    found = store.keys(f"{folder}terms/")
    return max((int(match[1]) for key in found if (match := NUMBER.search(key))), default=0)
