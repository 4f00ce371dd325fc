"""The large objects of a training that stand in the exchange, and which of them still count.

Told of the rounds one after the other, from what stands of them: nothing else needs to be
remembered. Messages, records and ledgers are small and are no part of this: they stay for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fedcore.config.task import TaskFile
from fedcore.exchange import keys
from fedcore.rounds.messages import NOT_YET, Combined, Invitation, ObjectRef, Record
from fedcore.rounds.selection import best_round


@dataclass(frozen=True)
class Body:
    """A large object that round `round` has made; no hash where no message has it.

    It is read until that round is done; what the next one `starts` from, until that one is.
    """

    key: str
    sha256: str | None
    round: int
    starts: bool = False

    @property
    def until(self) -> int:
        """The round that must be done before nobody reads it."""
        return self.round + self.starts


@dataclass(frozen=True)
class Made:
    """A round as it stands.

    `sums` are those of its groups, `started` is what each party whose update is in the model has
    trained from, as far as its reply can be read.
    """

    combined: Combined
    invitation: Invitation
    sums: Sequence[ObjectRef] = ()
    started: Mapping[str, Invitation] = field(default_factory=dict)


class Standing:
    """What stands of the first `rounds` rounds; `heard` entries of the ledger said what went."""

    def __init__(self) -> None:
        """No round is known yet."""
        self.rounds = self.heard = 0
        self._bodies: dict[str, Body] = {}
        # By round, whose training for it may still count, and what it starts from.
        self._training: dict[int, set[str]] = {}
        self._bases: dict[int, str] = {}
        # By party, its newest update that is in a model, and what that was trained from.
        self._newest: dict[str, tuple[str, str]] = {}

    def superseded(self, task: TaskFile, done: Sequence[Record], keep: int) -> list[Body]:
        """What nobody reads again, of all rounds `done` but the `keep` newest; sorted by key."""
        counting, old = self._counting(task, done), len(done) - keep
        found = [one for one in self._bodies.values() if one.until <= old]
        return sorted((one for one in found if one.key not in counting), key=lambda one: one.key)

    def is_newer(self, key: str, rounds: int) -> bool:
        """Whether a round after the first `rounds` has made the object."""
        known = self._bodies.get(key)
        return known is not None and known.round > rounds

    def removed(self, names: Iterable[str]) -> None:
        """These objects are gone."""
        for name in names:
            self._bodies.pop(name, None)

    def given(self, ref: ObjectRef) -> None:
        """The guest's initial model, which is taken over as the model of round 0."""
        self._bodies[ref.key] = Body(ref.key, ref.sha256, 1)

    def take(self, task: TaskFile, made: Made) -> None:
        """Take the next round in, which is done."""
        combined, invitation = made.combined, made.invitation
        self.rounds = combined.round
        late_counts = task.federation.late == "next_round"
        if late_counts:
            self._training[invitation.round] = set(invitation.parties)
            self._bases[invitation.round] = invitation.weights.key
        for party, asked in made.started.items():
            self._count(party, combined, asked)
        for party, reason in combined.absent.items():
            settled = reason not in NOT_YET
            if settled:
                self._settle(party, combined.round)
            if party in invitation.parties and (settled or not late_counts):
                lost = keys.update(party, combined.run, combined.round)
                self._bodies[lost] = Body(lost, None, combined.round)
        self._made(made)

    def _made(self, made: Made) -> None:
        """The next round starts from model, step and memory; the sums are in the model."""
        number = made.combined.round
        for ref in (made.combined.model, made.combined.step, made.combined.memory):
            if ref is not None:
                self._bodies[ref.key] = Body(ref.key, ref.sha256, number, starts=True)
        for ref in made.sums:
            self._bodies[ref.key] = Body(ref.key, ref.sha256, number)

    def _count(self, party: str, combined: Combined, asked: Invitation) -> None:
        """An update is in a model: what its party trained before is not asked for again."""
        key = keys.update(party, combined.run, asked.round)
        self._bodies[key] = Body(key, combined.updates[party], combined.round)
        self._newest[party] = (key, asked.weights.key)
        self._settle(party, asked.round)

    def _settle(self, party: str, number: int) -> None:
        """Nothing that the party trained for this round or an earlier one can count any more."""
        for one in [one for one in self._training if one <= number]:
            self._training[one].discard(party)
            if not self._training[one]:
                del self._training[one], self._bases[one]

    def _counting(self, task: TaskFile, done: Sequence[Record]) -> set[str]:
        """What may still be read although its round, and the one after it, are done."""
        best = best_round(done, task.federation.select_by).model.key
        most, upcoming = task.federation.max_staleness, len(done) + 1
        bases = {
            key for number, key in self._bases.items() if most is None or upcoming - number <= most
        }
        shown = self._newest.values() if task.evaluation.cross_site else ()
        return {best, *bases, *(key for pair in shown for key in pair)}
