"""A hospital that vanishes in the middle of an epoch, or runs out of disk at its end."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from pathlib import Path

import pytest
from rounds_story import RUN, Time, hospitals, key_of, task_file

from fedcore.audit.ledger import Ledger
from fedcore.data.cohort import open_cohort
from fedcore.exchange.memory import MemoryStore
from fedcore.models.catalogue import build
from fedcore.rounds import coordinator, party
from fedcore.rounds.messages import Member


class Killed(Exception):
    """Nothing that is not on the disk survives."""


class Hospital:
    """One guest, invited to round 1, whose process can be killed and started again."""

    def __init__(
        self, folder: Path, training: Mapping[str, object] | None = None, **federation: object
    ) -> None:
        self.folder, self.store, self.time = folder, MemoryStore(), Time()
        self.task = task_file(quorum=1, batch_size=4, local_epochs=2, **federation)
        section = self.task.training.model_copy(update=dict(training or {}))
        self.task = self.task.model_copy(update={"training": section})
        self.member = Member(party_id="1", role="guest")
        data = hospitals(folder, ("1",))["1"]
        self.cohort = open_cohort(data, self.task, folder / "state")
        self.steps: list[int] = []
        self.said: list[str] = []
        self.kill_at: int | None = None
        self.at_the_end = lambda: None
        (folder / "spool").mkdir()
        self._invite()

    def start(self) -> party.Desk:
        """The desk of a new process."""
        key = key_of("1")
        return party.Desk(
            run=RUN,
            task=self.task,
            member=self.member,
            store=self.store,
            key=key,
            ledger=Ledger(self.folder / "1.jsonl", key, self.time.clock),
            watch=self.time.watch(self.said.append),
            code_version="test",
            cohort=self.cohort,
            network=build(self.task.model, self.task.seed),
            spool=self.folder / "spool",
            progress=self._step,
        )

    def _step(self, phase: str, done: int, total: int, loss: float | None) -> None:
        """A minute passes with every step."""
        self.steps.append(done)
        if done == self.kill_at:
            raise Killed
        if done == total:
            self.at_the_end()
        self.time.now += 60.0

    def _invite(self) -> None:
        lead = coordinator.Desk(
            run=RUN,
            task=self.task,
            members=(self.member,),
            store=self.store,
            key=key_of("coordinator"),
            ledger=Ledger(self.folder / "lead.jsonl", key_of("coordinator"), self.time.clock),
            watch=self.time.watch(),
            code_version="test",
        )
        coordinator.found(lead)
        party.greet(self.start())
        party.join(self.start())
        coordinator.welcome(lead)
        coordinator.invite(lead, 1, coordinator.adopt_initial_model(lead))


@pytest.mark.parametrize("batch_norm", ["average", "local"])
def test_a_party_killed_in_the_middle_of_a_round_goes_on_to_the_same_update(tmp_path, batch_norm):
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = Hospital(tmp_path / "whole", batch_norm=batch_norm)
    expected = party.train(whole.start(), 1)
    killed = Hospital(tmp_path / "killed", batch_norm=batch_norm)
    killed.kill_at = 3
    with pytest.raises(Killed):
        party.train(killed.start(), 1)
    killed.kill_at, killed.steps = None, []
    assert party.train(killed.start(), 1) == expected
    assert killed.steps == list(range(3, whole.steps[-1] + 1))
    assert list((tmp_path / "killed" / "spool" / "checkpoint").iterdir()) == []


def test_a_disk_that_is_full_when_the_update_is_spooled_loses_no_training(tmp_path):
    hospital = Hospital(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    paused: list[float] = []

    def make_room(seconds: float) -> None:
        paused.append(seconds)
        if len(paused) == 20:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    hospital.time.pause = make_room
    hospital.at_the_end = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        sha256 = party.train(hospital.start(), 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(sha256) == 64
    assert len(paused) == 20
    assert hospital.steps == sorted(set(hospital.steps))  # trained once
    assert any("cannot be written" in said and "make room" in said for said in hospital.said)
