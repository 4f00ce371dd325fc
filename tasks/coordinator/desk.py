"""The coordinator's desk, opened once per process and seat."""

from __future__ import annotations

from functools import cache

import fedcore
from fedcore.rounds import coordinator
from tasks.seat import Seat
from tasks.voices import voice_of


@cache
def desk_at(seat: str) -> coordinator.Desk:
    """Open exchange, key and ledger of the coordinator's seat at this path."""
    place = Seat.load(seat)
    watch = voice_of(seat).watch()
    store = place.store(watch)
    store.prepare()
    return coordinator.Desk(
        run=place.run,
        task=place.task,
        members=place.members,
        store=store,
        key=place.key(),
        ledger=place.ledger(),
        watch=watch,
        code_version=fedcore.__version__,
        pinned=place.pinned,
    )
