"""The hospitals' sessions as Prefect sees them: started for a training, watched, started again.

What is seen here helps and never decides: whether a hospital has answered is read from the
exchange alone, and Prefect may be away for as long as it likes.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tasks.coordinator.session_keeper import SessionKeeper
from tasks.options import step
from tasks.seat import Seat

LOOK_SECONDS = 4.0
_KEPT: dict[str, SessionKeeper] = {}


@contextmanager
def kept(seat: str, say: Callable[[str], None]) -> Iterator[None]:
    """While this lasts, the sessions of the seat's run can be begun and are kept going."""
    place, over = Seat.load(seat), threading.Event()
    keeper = SessionKeeper(place.run, place.members, say)
    _KEPT[seat] = keeper
    # In the flow's context: what the keeper says stands on the training's page.
    context = contextvars.copy_context()
    watcher = threading.Thread(target=context.run, args=(_watch, keeper, over), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        _KEPT.pop(seat, None)


@step("sessions · start")
def begin(seat: str) -> list[str]:
    """Start a session in every party's pool, unless one is going; what is known of each."""
    keeper = _KEPT[seat]
    keeper.look()
    return [keeper.last_seen(member.party_id) for member in Seat.load(seat).members]


def last_seen(seat: str, party: str) -> str:
    """What Prefect knows of a party's session and worker, as a sentence; empty if nothing."""
    keeper = _KEPT.get(seat)
    return keeper.last_seen(party) if keeper is not None else ""


def _watch(keeper: SessionKeeper, over: threading.Event) -> None:
    while not over.wait(LOOK_SECONDS):
        keeper.look()
