"""A comparison in MLflow: one parent, one run per cell, each number once."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from comparison_story import all_results, comparison, result
from mlflow import MlflowClient

from tasks.tracking_client import TrackingAway
from tasks.tracking_comparison import ComparisonTracking, points_of

PARENT = "mlflow.parentRunId"


@pytest.fixture
def told(database, task):
    """The comparison of a task of its own, kept in the database."""
    return comparison(task=task, tracking_uri=database, run=f"compare-{task.name}")


def runs_of(one):
    client = MlflowClient(one.tracking_uri)
    experiment = client.get_experiment_by_name(one.task.name)
    return client.search_runs([experiment.experiment_id])


def history(one, run) -> list[tuple[str, int, float]]:
    client = MlflowClient(one.tracking_uri)
    return sorted(
        (name, point.step, point.value)
        for name in run.data.metrics
        for point in client.get_metric_history(run.info.run_id, name)
    )


def test_cells_are_nested_runs_and_telling_them_twice_writes_nothing_twice(told):
    results = all_results()[:5]
    for _ in range(2):  # as after a kill
        tracking = ComparisonTracking.open(told, "data")
        for one in results:
            tracking.log(one)
    runs = runs_of(told)
    cells = {run.data.tags["fedcore.cell"]: run for run in runs if PARENT in run.data.tags}
    assert len(runs) == 6
    assert cells.keys() == {one.cell.name for one in results}
    for one in results:
        expected = sorted((point.name, point.step, point.value) for point in points_of(one))
        assert history(told, cells[one.cell.name]) == expected
    params = cells["fedprox-0"].data.params
    assert (params["strategy"], params["seed"], params["kind"]) == ("fedprox", "0", "federated")
    assert cells["local-only@2-0"].data.params["party"] == "2"
    assert {run.info.status for run in cells.values()} == {"FINISHED"}


def test_a_cell_has_curves_and_test_scores_of_parties_average_and_pool():
    points = {(point.name, point.step): point.value for point in points_of(all_results()[0])}
    assert points["federated/accuracy", 1] == 0.6
    assert points["test/party/1/accuracy", 2] == 0.6
    assert points["test/average/accuracy", 2] == pytest.approx(0.7)
    assert points["test/accuracy", 2] == pytest.approx(0.7)
    local = {point.name for point in points_of(all_results()[2])}
    assert "test/party/2/accuracy" in local
    assert "test/accuracy" not in local
    assert "test/average/accuracy" not in local


def test_personal_models_have_points_of_their_own_at_the_last_round():
    one = result("ditto", 0, {"1": 5, "2": 6}, rounds=3, personal={"1": 7, "2": 9})
    one = one.model_copy(update={"best_round": 2})
    points = {(point.name, point.step): point.value for point in points_of(one)}
    assert points["test/party/1/accuracy", 2] == 0.5
    assert points["test/party/1/personal_accuracy", 3] == 0.7
    assert points["test/average/personal_accuracy", 3] == pytest.approx(0.8)
    assert points["test/personal_accuracy", 3] == pytest.approx(0.8)
    assert points["federated/personal_loss", 1] == 2.0


def test_the_parent_holds_the_files_and_says_how_it_ended(told, tmp_path: Path):
    tracking = ComparisonTracking.open(told, "data")
    tracking.stop("KeyboardInterrupt", killed=True)
    assert runs_of(told)[0].info.status == "KILLED"
    (tmp_path / "comparison.md").write_text("| table |\n")
    ComparisonTracking.open(told, "data").finish([tmp_path / "comparison.md"], failed=0)
    (parent,) = runs_of(told)
    assert parent.info.run_id == tracking.run_id
    assert parent.info.status == "FINISHED"
    assert "fedcore.reason" not in parent.data.tags
    assert parent.data.tags["fedcore.role"] == "comparison"
    assert parent.data.tags["fedcore.strategies"] == "fedavg,fedprox,local-only,pooled"
    files = MlflowClient(told.tracking_uri).list_artifacts(parent.info.run_id)
    assert [one.path for one in files] == ["comparison.md"]


def test_failed_cells_make_the_parent_a_failed_one(told):
    ComparisonTracking.open(told, "data").finish([], failed=2)
    (parent,) = runs_of(told)
    assert parent.info.status == "FAILED"
    assert parent.data.tags["fedcore.reason"] == "2 cells failed"


def test_on_other_data_it_is_another_comparison(told):
    first, second = (ComparisonTracking.open(told, data).run_id for data in ("old", "new"))
    assert first != second


def test_nobody_listening_is_one_sentence(told):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(TrackingAway):
            ComparisonTracking.open(told.model_copy(update={"tracking_uri": uri}), "data")
