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

# Seconds between two looks at all that may have come, where what comes next as a rule has not.
ALL_EVERY = 1.0
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
    lookout = Lookout(desk, max(since, 0))
    folder = keys.coordinator_folder(desk.run)
    what = "the coordinator's next invitation"
    kind = f"what follows {desk.said.last}"
    return desk.watch.wait(lookout.look, what, until, lambda: last_sign(desk.store, folder), kind)


class Lookout:
    """Looks at what the coordinator has published, as a rule in one question to the exchange.

    While a round goes on nothing else can be asked than what stands in its folder; what this party
    has answered already need not be asked for again. Whether one object is there is a question
    that costs half of a list; so most looks are for the one that comes next as a rule. Once that
    has come, all else is as the last look at all has shown it.
    """

    def __init__(self, desk: Desk, newest: int) -> None:
        """Rounds before `newest` are over."""
        self._desk, self._newest = desk, newest
        self._not_invited: set[int] = set()
        self._next, self._all_at = "", 0.0
        self._found: set[str] = set()

    def look(self) -> Request | None:
        """What is asked now, if anything."""
        self._desk.fence.glance()
        if not self._has_come():
            return None
        if not self._newest or keys.record(self._desk.run, self._newest) in self._found:
            return self._last_words()
        return self._round_request(self._found)

    def _has_come(self) -> bool:
        """Whether there is anything to see: what comes next as a rule, or a look at all is due."""
        now = self._desk.watch.clock()
        if self._next and now < self._all_at:
            if not self._desk.store.exists(self._next):
                return False
            self._take({*self._found, self._next})
            return True
        self._all_at = now + ALL_EVERY
        known = self._newest
        after = keys.record(self._desk.run, known - 1) if known > 1 else ""
        self._take(set(self._desk.store.keys(keys.rounds_folder(self._desk.run), after)))
        return True

    def _take(self, found: set[str]) -> None:
        """What stands of the newest round that anything stands of, and of the one before it."""
        numbers = [int(match[1]) for key in found if (match := INVITATION.fullmatch(key))]
        self._newest = max([self._newest, *numbers])
        self._desk.said.look(found)
        self._found, self._next = found, self._after(found)

    def _after(self, found: set[str]) -> str:
        """What comes next as a rule; nothing where the last round may be followed by the end."""
        run, number = self._desk.run, self._newest
        combined = keys.combined(run, number)
        if number and combined not in found:
            return combined
        last = number >= self._desk.task.federation.epochs
        return "" if last else keys.invitation(run, number + 1)

    def _last_words(self) -> Request | None:
        """The end comes after the final test, and that after the last round."""
        desk = self._desk
        if not desk.store.exists(keys.final_evaluation(desk.run)):
            return None
        if desk.store.exists(keys.end(desk.run)):
            return Request("end")
        answered = desk.said.stands(desk.store, keys.final_score(desk.party, desk.run))
        return None if answered else Request("test")

    def _round_request(self, found: set[str]) -> Request | None:
        """Score what is combined, else train where invited and not yet answered."""
        desk, number = self._desk, self._newest
        if keys.combined(desk.run, number) in found:
            answer, question = (
                keys.score(desk.party, desk.run, number),
                keys.combined(desk.run, number),
            )
            scored = desk.said.answered(desk.store, answer, question)
            return None if scored else Request("score", number)
        question = keys.invitation(desk.run, number)
        if question not in found or number in self._not_invited:
            return None
        if desk.said.answered(desk.store, keys.reply(desk.party, desk.run, number), question):
            return None
        if desk.party in invitation(desk, number).parties:
            return Request("train", number)
        self._not_invited.add(number)
        return None


def invitation(desk: Desk, number: int) -> Invitation:
    """The signed invitation to a round; `Refused` unless the run's coordinator wrote it.

    It is written once, so the newest is read once, however many steps of its round ask for it.
    """
    key = keys.invitation(desk.run, number)
    if key not in desk.heard:
        asked = sealed.read(desk.store, key, Invitation, desk.coordinator_key())
        desk.heard.clear()
        desk.heard[key] = asked
    return desk.heard[key]
