"""What the coordinator tells MLflow: one line kept open, and a failure that does not hide."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import training_story as story
from mlflow import MlflowClient
from rounds_story import Time
from test_tracking_runs import nested, runs_of

from fedcore.audit.signing import SigningKey
from fedcore.config.address import Address
from fedcore.exchange import keys
from fedcore.rounds import coordinator, sealed
from fedcore.rounds.waiting import Watch
from tasks.coordinator import tracked
from tasks.coordinator.desk import desk_at
from tasks.seat import COORDINATOR, Seat
from tasks.voices import Voice, attach


class Heard(Voice):
    """Keeps every sentence."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.time = Time()

    def watch(self) -> Watch:
        return self.time.watch()

    def say(self, message: str) -> None:
        self.sentences.append(message)


class Federation:
    """A coordinator's seat on a disk; the test says who has come and what was recorded."""

    def __init__(self, folder: Path, task, uri: str) -> None:
        self.task, self.uri, self.voice = task, uri, Heard()
        self.seat = Seat(
            run=story.RUN,
            owner=COORDINATOR,
            task=task,
            members=story.agreement(task).parties,
            exchange=Address("folder", str(folder / "exchange")),
            state=str(folder / "state"),
            tracking_uri=self.uri,
        ).save()
        attach(self.seat, self.voice)
        coordinator.found(desk_at(self.seat))

    def greet(self, *parties: str) -> None:
        for party in parties:
            key = SigningKey.generate(lambda size, party=party: party.encode().ljust(size)[:size])
            hello = story.hellos(self.task)[party]
            sealed.publish(desk_at(self.seat).store, keys.hello(party, story.RUN), hello, key)

    def track(self, number: int) -> str:
        self.record(number)
        return tracked.track.fn(self.seat, number)

    def record(self, number: int) -> None:
        desk = desk_at(self.seat)
        key = keys.record(story.RUN, number)
        sealed.publish(desk.store, key, story.record(number), desk.key)

    def steps(self) -> list[int]:
        """The rounds that MLflow knows."""
        run = runs_of(self.uri, self.task)[story.RUN].info.run_id
        history = MlflowClient(self.uri, self.uri).get_metric_history(run, "federated/auroc")
        return [one.step for one in history]

    def status(self) -> set[str]:
        return {run.info.status for run in runs_of(self.uri, self.task).values()}

    def reason(self) -> str | None:
        return runs_of(self.uri, self.task)[story.RUN].data.tags.get("fedcore.reason")

    @contextmanager
    def refusing(self, action: str):
        """The database refuses `action`, such as `INSERT ON metrics`."""
        self._change(f"CREATE TRIGGER f BEFORE {action} BEGIN SELECT RAISE(ABORT, 'full'); END")
        try:
            yield
        finally:
            self._change("DROP TRIGGER f")

    def _change(self, statement: str) -> None:
        with sqlite3.connect(self.uri.removeprefix("sqlite:///")) as direct:
            direct.execute(statement)


@pytest.fixture
def federation(tmp_path, task, database) -> Iterator[Federation]:
    made = Federation(tmp_path, task, database)
    made.greet("9999", "10000")
    yield made
    tracked.let_go(made.seat)


def test_a_round_that_mlflow_refused_is_written_over_a_new_line(federation):
    federation.track(1)
    before = tracked.open_tracking(federation.seat)
    with federation.refusing("INSERT ON metrics"):
        assert federation.track(2) == "away"
    assert "the training goes on" in federation.voice.sentences[-1]
    assert federation.track(3) == before.run_id
    assert tracked.open_tracking(federation.seat) is not before
    history = MlflowClient(federation.uri).get_metric_history(before.run_id, "federated/auroc")
    assert [one.step for one in history] == [1, 2, 3]


def test_one_line_is_kept_until_a_late_party_comes(federation):
    late = nested("host-10001")
    federation.track(1)
    first = tracked.open_tracking(federation.seat)
    federation.track(2)
    assert tracked.open_tracking(federation.seat) is first
    assert "fedcore.patients" not in runs_of(federation.uri, federation.task)[late].data.tags
    federation.greet("10001")
    federation.track(3)
    second = tracked.open_tracking(federation.seat)
    assert second is not first
    assert second.run_id == first.run_id
    assert runs_of(federation.uri, federation.task)[late].data.tags["fedcore.patients"] == "73"
    federation.track(4)
    assert tracked.open_tracking(federation.seat) is second


@pytest.mark.parametrize(("killed", "status"), [(False, "FAILED"), (True, "KILLED")])
def test_a_failure_shows_until_the_training_goes_on(federation, killed, status):
    federation.track(1)
    tracked.note_failure(federation.seat, "too few replies in round 2", killed=killed)
    assert federation.status() == {status}
    assert federation.reason() == "too few replies in round 2"
    federation.track(2)
    assert federation.status() == {"RUNNING"}
    assert federation.reason() is None


def test_fast_rounds_are_told_together_and_the_first_at_once(federation):
    assert tracked.due(federation.seat)
    federation.track(1)
    for number in (2, 3):
        federation.voice.time.pause(tracked.EVERY / 4)
        federation.record(number)
        assert not tracked.due(federation.seat)
    federation.voice.time.pause(tracked.EVERY / 2)
    assert tracked.due(federation.seat)
    federation.track(4)
    assert federation.steps() == [1, 2, 3, 4]


def test_a_failure_is_told_after_the_rounds_that_were_not_told_yet(federation):
    federation.track(1)
    federation.record(2)
    coordinator.records(desk_at(federation.seat))
    tracked.note_failure(federation.seat, "too few replies in round 3")
    assert federation.steps() == [1, 2]
    assert federation.status() == {"FAILED"}


def test_a_failure_before_any_round_is_noted_too(federation):
    tracked.note_failure(federation.seat, "nobody came")
    assert federation.status() == {"FAILED"}
    assert federation.reason() == "nobody came"
    federation.track(1)
    assert federation.status() == {"RUNNING"}


def test_a_failure_that_mlflow_does_not_take_is_only_a_sentence(federation):
    federation.track(1)
    with federation.refusing("UPDATE ON runs"):
        tracked.note_failure(federation.seat, "too few replies in round 2")
    assert "still shows the training as running" in federation.voice.sentences[-1]
    tracked.note_failure(federation.seat, "too few replies in round 2")
    assert federation.status() == {"FAILED"}
