"""What the coordinator wants next of this party, read from the exchange."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from fedcore.exchange import keys
from fedcore.rounds import sealed
from fedcore.rounds.messages import Invitation
from fedcore.rounds.party.desk import Desk
from fedcore.rounds.signs import last_sign

INVITATION = re.compile(r"coordinator/[^/]+/rounds/(\d{5})/invitation\.json")


@dataclass(frozen=True)
class Request:
    """`train` and `score` name a round; `test` and `end` stand alone (round 0)."""

    kind: Literal["train", "score", "test", "end"]
    round: int = 0


def next_request(desk: Desk, since: int = 0, until: float | None = None) -> Request | None:
    """The next thing to do; rounds before `since` are known to be over.

    Waits for it, without end or, on the desk's clock, `until`: then `None` if nothing is asked.
    """
    newest = max(since, 0)

    def look() -> Request | None:
        nonlocal newest
        desk.fence.glance()
        newest = _newest_round(desk, newest)
        return _last_words(desk) or (_round_request(desk, newest) if newest else None)

    folder = keys.coordinator_folder(desk.run)
    what = "the coordinator's next invitation"
    return desk.watch.wait(look, what, until, lambda: last_sign(desk.store, folder))


def _last_words(desk: Desk) -> Request | None:
    if desk.store.exists(keys.end(desk.run)):
        return Request("end")
    asked = desk.store.exists(keys.final_evaluation(desk.run))
    if asked and not desk.store.exists(keys.final_score(desk.party, desk.run)):
        return Request("test")
    return None


def _newest_round(desk: Desk, known: int) -> int:
    """The highest round that anything stands of; looks only beyond what is known."""
    after = keys.record(desk.run, known - 1) if known > 1 else ""
    found = desk.store.keys(keys.rounds_folder(desk.run), after)
    numbers = [int(match[1]) for key in found if (match := INVITATION.fullmatch(key))]
    return max([known, *numbers])


def _round_request(desk: Desk, number: int) -> Request | None:
    """Score what is combined, else train where invited and not yet answered."""
    if desk.store.exists(keys.record(desk.run, number)):
        return None
    if desk.store.exists(keys.combined(desk.run, number)):
        scored = desk.store.exists(keys.score(desk.party, desk.run, number))
        return None if scored else Request("score", number)
    if not desk.store.exists(keys.invitation(desk.run, number)):
        return None
    if desk.store.exists(keys.reply(desk.party, desk.run, number)):
        return None
    return Request("train", number) if desk.party in invitation(desk, number).parties else None


def invitation(desk: Desk, number: int) -> Invitation:
    """The signed invitation to a round; `Refused` unless the run's coordinator wrote it."""
    key = keys.invitation(desk.run, number)
    return sealed.read(desk.store, key, Invitation, desk.coordinator_key())
