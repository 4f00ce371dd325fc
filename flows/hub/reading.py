"""Who may read a training in the exchange: its members, from the moment that it begins."""

from __future__ import annotations

from collections.abc import Sequence

from fedcore.exchange.s3_users import let_read
from flows.hub import registry
from flows.hub.home import Hub

# The server holds every request against a party's whole list: a year of nightly trainings.
MOST = 400


def let_members_read(hub: Hub, run: str, members: Sequence[str]) -> None:
    """Let the members' users read `coordinator/RUN/`; again is harmless.

    A party that may read `MOST` trainings loses the one that it was given longest ago. Users that
    others manage keep the rights that they have. Raises `NotThere`, `NotAllowed`, `Unreachable`.
    """
    with registry.locked(hub):
        for held in registry.active(hub):
            if held.party_id in members and held.own_exchange:
                runs = (*(one for one in held.runs if one != run), run)[-MOST:]
                _let_read(hub, held.party_id, runs)
                registry.save(hub, held.model_copy(update={"runs": runs}))


def _let_read(hub: Hub, party: str, runs: Sequence[str]) -> None:
    place = hub.exchange
    let_read(place.location, hub.exchange_environ(), place.bucket, party, runs)
