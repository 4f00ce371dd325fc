"""The coordinator's desk, opened once per process and seat."""

from __future__ import annotations

import os
from functools import cache, partial

import fedcore
from fedcore.exchange import keys
from fedcore.rounds import coordinator, terms
from tasks.coordinator.sessions import last_seen
from tasks.seat import Seat
from tasks.voices import voice_of


@cache
def desk_at(seat: str) -> coordinator.Desk:
    """Open exchange, key and ledger of the coordinator's seat at this path."""
    place = Seat.load(seat)
    watch = voice_of(seat).watch()
    store = place.store(watch)
    store.prepare()
    key, term = place.key(), (place.run, place.owner, keys.coordinator_folder(place.run))
    return coordinator.Desk(
        run=place.run,
        task=place.task,
        members=place.members,
        store=store,
        key=key,
        ledger=place.ledger(),
        watch=watch,
        code_version=fedcore.__version__,
        pinned=place.pinned,
        fence=terms.take(store, key, term, os.urandom, watch.clock),
        seen=partial(last_seen, seat),
    )
