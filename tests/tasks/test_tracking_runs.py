"""Tracking: whatever happens to coordinator or MLflow, each number is there exactly once."""

from __future__ import annotations

import socket
import sqlite3
import time
from collections import Counter

import pytest
import training_story as story
from mlflow import MlflowClient

from tasks.tracking import Tracking, TrackingAway
from tasks.tracking_client import shown
from tasks.tracking_metrics import of_end, of_round


def open_training(uri, task, run=story.RUN, parties=story.PARTIES):
    agreement = story.agreement(task, parties, run)
    return Tracking.open(uri, task, agreement, story.hellos(task, parties=parties, run=run))


def runs_of(uri, task):
    client = MlflowClient(uri, uri)
    experiment = client.get_experiment_by_name(task.name)
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def nested(party, run=story.RUN):
    """How the run of a party is called: `host-10000` under its training."""
    return f"{run} · {party}"


def written(uri, task) -> Counter[tuple[str, str, int]]:
    """How often each number stands in MLflow, by run name, metric and step."""
    client = MlflowClient(uri, uri)
    return Counter(
        (name, metric, point.step)
        for name, run in runs_of(uri, task).items()
        for metric in run.data.metrics
        for point in client.get_metric_history(run.info.run_id, metric)
    )


def wanted(records, end=None) -> Counter[tuple[str, str, int]]:
    labels = {party: nested(f"{role}-{party}") for party, role in story.PARTIES}
    labels |= {None: story.RUN}
    points = [point for record in records for point in of_round(record)]
    points += of_end(end) if end else []
    return Counter((labels[point.party], point.name, point.step) for point in points)


def test_nobody_listening_is_one_sentence_within_seconds(task):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        start = time.monotonic()
        with pytest.raises(TrackingAway) as away:
            open_training(f"http://user:secret@127.0.0.1:{port}", task)
    assert time.monotonic() - start < 30
    assert "secret" not in str(away.value)
    assert f"127.0.0.1:{port}" in str(away.value)
    assert "\n" not in str(away.value)


def test_a_database_that_cannot_be_opened_is_the_same_sentence(tmp_path, task):
    (tmp_path / "broken.db").write_text("this is no database, but long enough to be looked into\n")
    with pytest.raises(TrackingAway, match="MLflow at sqlite"):
        open_training(f"sqlite:///{tmp_path / 'broken.db'}", task)


def test_addresses_are_shown_without_passwords():
    assert shown("https://me:pw@mlflow.example:5000/x") == "https://mlflow.example:5000/x"
    assert shown("sqlite:///mlflow.db") == "sqlite:///mlflow.db"


def test_what_a_database_refused_is_written_by_the_next_sync(tmp_path, task):
    """The store fails in the middle of a round: some runs have it, others do not."""
    file = tmp_path / "mlflow.db"
    tracking = open_training(f"sqlite:///{file}", task)
    tracking.sync(story.records(2))
    with sqlite3.connect(file) as direct:
        direct.execute(
            "CREATE TRIGGER full BEFORE INSERT ON metrics WHEN NEW.key = 'round/seconds' "
            "BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        )
    with pytest.raises(TrackingAway):
        tracking.sync(story.records(4))
    with sqlite3.connect(file) as direct:
        direct.execute("DROP TRIGGER full")
    tracking.sync(story.records(4))
    assert written(f"sqlite:///{file}", task) == wanted(story.records(4))


@pytest.mark.parametrize("marker", ["0", "1", "3"])
def test_a_crash_between_numbers_and_marker_leaves_no_number_twice(database, task, marker):
    tracking = open_training(database, task)
    tracking.sync(story.records(3))
    MlflowClient(database).set_tag(tracking.run_id, "fedcore.logged_rounds", marker)
    open_training(database, task).sync(story.records(5))
    assert written(database, task) == wanted(story.records(5))


def test_a_crash_between_two_runs_leaves_no_number_missing(database, task):
    tracking = open_training(database, task)
    client = MlflowClient(database)
    guest = runs_of(database, task)[nested("guest-9999")].info.run_id
    client.log_metric(guest, "train/loss", 0.5, step=2)
    tracking.sync(story.records(2))
    assert written(database, task) == wanted(story.records(2))


def test_opening_again_finds_the_same_runs_and_creates_none(database, task):
    first, second = (open_training(database, task) for _ in range(2))
    assert first.run_id == second.run_id
    parties = [nested(name) for name in ("guest-9999", "host-10000", "host-10001")]
    assert sorted(runs_of(database, task)) == sorted([*parties, story.RUN])


def test_a_nested_run_that_a_crash_left_out_is_created_later(database, task):
    open_training(database, task, parties=story.PARTIES[:1])
    tracking = open_training(database, task)
    tracking.sync(story.records(1))
    assert written(database, task) == wanted(story.records(1))


def test_two_trainings_of_one_task_share_the_experiment_and_nothing_else(database, task):
    open_training(database, task, run="run-1").sync(story.records(2))
    open_training(database, task, run="run-2")
    runs = runs_of(database, task)
    assert {"run-1", "run-2", "run-1 · guest-9999", "run-2 · guest-9999"} <= set(runs)
    assert len(runs) == 8
    assert runs["run-2 · guest-9999"].data.tags["fedcore.party_id"] == "9999"
    assert runs["run-2"].data.metrics == {}


def test_runs_carry_what_one_compares_and_filters_by(database, task):
    tracking = open_training(database, task)
    runs = runs_of(database, task)
    parent, guest = runs[story.RUN], runs[nested("guest-9999")]
    assert parent.info.run_id == tracking.run_id
    assert parent.data.params["federation.lr"] == "0.001"
    assert parent.data.params["federation.deadline"] == "none"
    assert len(parent.data.params) == len(task.flat())
    assert parent.data.tags["fedcore.task_hash"] == task.fingerprint()
    assert parent.data.tags["fedcore.strategy"] == "fedavg"
    assert guest.data.tags["mlflow.parentRunId"] == tracking.run_id
    assert guest.data.tags["fedcore.patients"] == "412"
    assert guest.data.tags["fedcore.quarantined"] == "4"
    assert guest.data.tags["fedcore.contract_hash"].startswith("a0")


def test_hellos_that_come_later_fill_in_their_tags(database, task):
    agreement = story.agreement(task)
    Tracking.open(database, task, agreement, {})
    assert "fedcore.patients" not in runs_of(database, task)[nested("guest-9999")].data.tags
    open_training(database, task)
    assert runs_of(database, task)[nested("guest-9999")].data.tags["fedcore.patients"] == "412"


def test_long_values_are_cut_instead_of_refused(database):
    classes = [f"a class with a long name, number {number}" for number in range(900)]
    task = story.task_file(900, name="many-classes", data={"classes": classes})
    open_training(database, task)
    params = runs_of(database, task)[story.RUN].data.params
    assert len(params["data.classes"]) == 5000


def test_withheld_numbers_are_not_logged_as_anything(database, task):
    open_training(database, task).sync([story.record(1, withheld={"10001"})])
    metrics = runs_of(database, task)[nested("host-10001")].data.metrics
    assert set(metrics) == {"train/loss", "train/accuracy", "weight"}


def test_an_absent_party_shows_with_weight_zero(database, task):
    open_training(database, task).sync([story.record(1, absent={(1, "10000")})])
    runs = runs_of(database, task)
    assert runs[nested("host-10000")].data.metrics == {"weight": 0.0}
    assert runs[story.RUN].data.metrics["round/parties"] == 2


def test_a_failed_training_says_why_and_runs_again_when_it_goes_on(database, task):
    tracking = open_training(database, task)
    tracking.fail("too few replies in round 3")
    runs = runs_of(database, task)
    assert {run.info.status for run in runs.values()} == {"FAILED"}
    assert runs[story.RUN].data.tags["fedcore.reason"] == "too few replies in round 3"
    tracking.fail("stopped by a person", killed=True)
    assert runs_of(database, task)[story.RUN].info.status == "KILLED"
    open_training(database, task)
    runs = runs_of(database, task)
    assert {run.info.status for run in runs.values()} == {"RUNNING"}
    assert "fedcore.reason" not in runs[story.RUN].data.tags


def test_an_experiment_that_was_deleted_comes_back_for_the_next_training(database, task):
    open_training(database, task)
    client = MlflowClient(database)
    client.delete_experiment(client.get_experiment_by_name(task.name).experiment_id)
    open_training(database, task).sync(story.records(1))
    assert sum(written(database, task).values()) > 0


def kind_of(uri, task) -> str | None:
    return MlflowClient(uri).get_experiment_by_name(task.name).tags.get("mlflow.experimentKind")


def test_an_experiment_is_of_the_kind_that_trains_models(database, task):
    open_training(database, task)
    assert kind_of(database, task) == "custom_model_development"


def test_an_experiment_that_others_made_becomes_of_that_kind(database, task):
    MlflowClient(database).create_experiment(task.name)
    open_training(database, task)
    assert kind_of(database, task) == "custom_model_development"


def test_the_kind_that_a_person_chose_stays(database, task):
    MlflowClient(database).create_experiment(
        task.name, tags={"mlflow.experimentKind": "classification"}
    )
    open_training(database, task)
    assert kind_of(database, task) == "classification"
