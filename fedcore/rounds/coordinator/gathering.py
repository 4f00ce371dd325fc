"""Gathering for an asynchronous strategy: the first few replies close the round."""

from __future__ import annotations

from fedcore.errors import NotThere, Refused
from fedcore.exchange import keys
from fedcore.rounds.coordinator.admission import admission_of
from fedcore.rounds.coordinator.asking import REPLIED, invitation_of, reply_of
from fedcore.rounds.coordinator.desk import Desk
from fedcore.rounds.coordinator.starting import start_of
from fedcore.rounds.messages import TRAINING, WAITING, Combined
from fedcore.rounds.terms import LOOK_EVERY


def gather(desk: Desk, number: int, until: float | None = None) -> dict[str, str]:
    """Wait until round `number` is full, or everybody is heard; the answer of every party.

    `replied` for those in the round: as many as the buffer holds, the oldest training first, of
    equals in the order of party ids. `waiting` for a reply that has to wait for the next round,
    `training` where none is there; else why it is refused. A round that is combined already keeps
    its answers.
    """
    standing = desk.recall(keys.combined(desk.run, number), Combined, desk.key.public)
    if standing is not None:
        return {**standing.absent, **dict.fromkeys(standing.weights, REPLIED)}
    hearing = Hearing(desk, number)
    desk.watch.wait(hearing.closed, f"enough replies to round {number}", until)
    return hearing.answers()


def hear(desk: Desk, number: int, party: str) -> str:
    """Check the reply that a party has sent to round `number`, update and all.

    `replied`, or why it is refused: a reply that cannot count must not close a round.
    """
    invitation = invitation_of(desk, number)
    start = start_of(desk, invitation)
    return admission_of(desk, invitation, start).judge(party)


class Hearing:
    """Who has been heard in a round by now; what was found once is not fetched again."""

    def __init__(self, desk: Desk, number: int) -> None:
        """Nobody is heard yet."""
        self._desk, self._number = desk, number
        self._invitation = invitation_of(desk, number)
        self._found: dict[str, str] = {}
        self._look_at = desk.watch.clock()

    def closed(self) -> bool | None:
        """Look once at everybody who is missing; true when the round is full or nobody is left."""
        self._desk.fence.glance()
        for party in self._missing():
            if self._desk.store.exists(keys.reply(party, self._desk.run, self._number)):
                self._found[party] = hear(self._desk, self._number, party)
        if self._desk.watch.clock() >= self._look_at:
            self._look_at = self._desk.watch.clock() + LOOK_EVERY
            self._note_declined()
        full = len(self._replied()) >= (self._desk.task.federation.buffer or 1)
        return True if full or not self._missing() else None

    def answers(self) -> dict[str, str]:
        """The answer of every invited party, and at most as many `replied` as close a round."""
        first = sorted(self._replied(), key=lambda party: (self._trained_in(party), party))
        waiting = first[self._desk.task.federation.buffer :]
        found = {**self._found, **dict.fromkeys(waiting, WAITING)}
        return {party: found.get(party, TRAINING) for party in self._invitation.parties}

    def _missing(self) -> list[str]:
        return [party for party in self._invitation.parties if party not in self._found]

    def _replied(self) -> list[str]:
        return [party for party, answer in self._found.items() if answer == REPLIED]

    def _trained_in(self, party: str) -> int:
        """Of a reply that was replaced since it was heard: the round itself."""
        try:
            return reply_of(self._desk, self._invitation, party).trained_in
        except (Refused, NotThere):
            return self._number

    def _note_declined(self) -> None:
        for party in self._missing():
            word = self._desk.declined(party)
            if word is not None:
                self._found[party] = f"refused: {word.reason}"
