"""Drawing: who is invited to a round where the task file invites a share of the parties."""

from __future__ import annotations

import hashlib
from collections.abc import Collection


def drawn(parties: Collection[str], seats: int, seed: int, number: int) -> tuple[str, ...]:
    """`seats` of the parties for round `number`, sorted; all of them where they are no more.

    FedAvg's random set of clients (McMahan et al. 2017, algorithm 1), without replacement: each
    party has a lot that follows from the task file's seed, the round and its id alone, and the
    lowest lots are drawn. So whoever draws again, anywhere, draws the same, and who is not there
    changes nothing among the others.
    """
    lots = sorted(parties, key=lambda party: _lot(party, seed, number))
    return tuple(sorted(lots[:seats]))


def _lot(party: str, seed: int, number: int) -> bytes:
    return hashlib.sha256(f"{seed}/{number}/{party}".encode()).digest()
