"""A real guest and a real host on tiny images, whose rounds the test plays step by step."""

from __future__ import annotations

from pathlib import Path

from rounds_story import RUN, Time, hospitals, key_of, task_file

from fedcore.audit.ledger import Ledger
from fedcore.data.cohort import Cohort, open_cohort
from fedcore.exchange.memory import MemoryStore
from fedcore.models.catalogue import build
from fedcore.rounds import coordinator, party
from fedcore.rounds.messages import Member


class Pair:
    """The coordinator's desk (`lead`), the guest's and the host's (`desks`), and one exchange."""

    def __init__(self, folder: Path, **fields: object) -> None:
        self.task = task_file(**{"quorum": 1, "deadline": 30, "epochs": 3, **fields})
        self.time, self.store = Time(), MemoryStore()
        members = (Member(party_id="1", role="guest"), Member(party_id="2", role="host"))
        cohorts = {
            name: open_cohort(data, self.task, folder / f"state-{name}")
            for name, data in hospitals(folder).items()
        }
        self.desks = [self._party(folder, one, cohorts[one.party_id]) for one in members]
        self.lead = coordinator.Desk(
            run=RUN,
            task=self.task,
            members=members,
            store=self.store,
            key=key_of("coordinator"),
            ledger=Ledger(folder / "lead.jsonl", key_of("coordinator"), self.time.clock),
            watch=self.time.watch(),
            code_version="test",
        )

    def _party(self, folder: Path, member: Member, cohort: Cohort) -> party.Desk:
        spool = folder / f"spool-{member.party_id}"
        spool.mkdir()
        key = key_of(member.party_id)
        return party.Desk(
            run=RUN,
            task=self.task,
            member=member,
            store=self.store,
            key=key,
            ledger=Ledger(folder / f"{member.party_id}.jsonl", key, self.time.clock),
            watch=self.time.watch(),
            code_version="test",
            cohort=cohort,
            network=build(self.task.model, self.task.seed),
            spool=spool,
        )

    def open(self) -> None:
        """Found the run, greet, and invite to round 1."""
        coordinator.found(self.lead)
        for desk in self.desks:
            party.greet(desk)
            party.join(desk)
        coordinator.welcome(self.lead)
        coordinator.invite(self.lead, 1, coordinator.adopt_initial_model(self.lead))

    def invite(self, number: int) -> None:
        """Invite to a later round."""
        coordinator.invite(self.lead, number, coordinator.records(self.lead)[-1].model)

    def answer(self, desk: party.Desk, number: int) -> None:
        """Train and reply."""
        party.train(desk, number)
        party.upload(desk, number)

    def close(self, number: int) -> None:
        """Combine what came before the deadline, and record it."""
        until = coordinator.deadline(self.lead)
        answers = {one: coordinator.ask(self.lead, number, one, until) for one in ("1", "2")}
        coordinator.combine(self.lead, number, answers)
        coordinator.record(self.lead, number, 1.0)
