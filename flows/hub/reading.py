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
        held = [one for one in registry.active(hub) if one.party_id in members and one.own_exchange]
        runs = {one.party_id: (*(old for old in one.runs if old != run), run) for one in held}
        runs = {party: some[-MOST:] for party, some in runs.items()}
        place = hub.exchange
        let_read(place.location, hub.exchange_environ(), place.bucket, runs)
        for one in held:
            registry.save(hub, one.model_copy(update={"runs": runs[one.party_id]}))
