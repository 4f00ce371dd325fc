"""A comparison as MLflow sees it: one parent run, one nested run per cell, tables on the parent.

It stands in the experiment of its task's name, beside the trainings. Runs are found again by their
tags and a number is written once, so a comparison that was killed and goes on adds what is missing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from mlflow import MlflowClient
from mlflow.entities import Run

import fedcore
from fedcore.comparison.plan import Comparison
from fedcore.comparison.result import CellResult
from fedcore.comparison.table import AVERAGE, TOGETHER, Trial, personal_trial, trial_of
from fedcore.metrics import METRICS
from tasks.tracking_client import DEFAULT_URI, connect, reaching, shown
from tasks.tracking_metrics import Point
from tasks.tracking_points import Clock, log_points, unwritten
from tasks.tracking_runs import (
    PARENT,
    REASON,
    ROLE,
    RUN,
    experiment_of,
    fill_params,
    fill_tags,
    wake,
)

Values = dict[tuple[str, int], float | None]  # (name, step) -> value
COMPARISON, CELL_ROLE = "comparison", "cell"
CELL, DATA = "fedcore.cell", "fedcore.data_hash"


class ComparisonTracking:
    """One comparison in MLflow. Every method may be repeated at any time."""

    def __init__(
        self,
        client: MlflowClient,
        uri: str,
        comparison: Comparison,
        experiment: str,
        parent: str,
        clock: Clock = time.time,
    ) -> None:
        """Hold the ids; use `ComparisonTracking.open` to find or create them."""
        self._client, self._place, self._comparison = client, uri, comparison
        self._experiment, self.run_id, self._clock = experiment, parent, clock

    @classmethod
    def open(cls, comparison: Comparison, data: str, clock: Clock = time.time) -> Self:
        """Find or create experiment and parent run; raises `TrackingAway`.

        `data` is a hash of what is trained on: on other data the comparison is another one.
        """
        place = comparison.tracking_uri or DEFAULT_URI
        client = connect(place)
        with reaching(place):
            experiment = experiment_of(client, comparison.task.name)
            parent = _found_or_made(client, experiment, comparison, data)
            fill_params(client, parent, comparison.task.flat())
            fill_tags(client, parent, _parent_tags(comparison))
            wake(client, [parent])
        return cls(client, place, comparison, experiment, parent.info.run_id, clock)

    @property
    def uri(self) -> str:
        """Where MLflow is, without user name and password."""
        return shown(self._place)

    def log(self, result: CellResult) -> str:
        """Write what a finished cell says into its nested run; that run's id.

        Raises `TrackingAway`; the next call writes what was missed.
        """
        with reaching(self._place):
            run = self._cell_run(result)
            fill_params(self._client, run, _params(self._comparison, result))
            points = points_of(result)
            missing = unwritten(self._client, run.info.run_id, points)
            log_points(self._client, run.info.run_id, missing, self._clock)
            self._client.set_terminated(run.info.run_id, "FINISHED")
        return str(run.info.run_id)

    def finish(self, files: Sequence[Path], *, failed: int) -> None:
        """Log tables and plot on the parent run and end it."""
        with reaching(self._place):
            for path in files:
                self._client.log_artifact(self.run_id, str(path))
            if failed:
                self._client.set_tag(self.run_id, REASON, f"{failed} cells failed")
            self._client.set_terminated(self.run_id, "FAILED" if failed else "FINISHED")

    def stop(self, reason: str, *, killed: bool) -> None:
        """End the parent run as FAILED, or KILLED where a person stopped it; it may go on."""
        with reaching(self._place):
            self._client.set_tag(self.run_id, REASON, reason[:5000])
            self._client.set_terminated(self.run_id, "KILLED" if killed else "FAILED")

    def _cell_run(self, result: CellResult) -> Run:
        name = result.cell.name
        wanted = f"tags.`{PARENT}` = '{self.run_id}' and tags.`{CELL}` = '{name}'"
        found = self._client.search_runs([self._experiment], wanted)
        if found:
            return found[0]
        tags = {PARENT: self.run_id, RUN: self._comparison.run, ROLE: CELL_ROLE, CELL: name}
        title = f"{self._comparison.run} · {result.cell.label}"
        return self._client.create_run(self._experiment, tags=tags, run_name=title)


def points_of(result: CellResult) -> list[Point]:
    """A cell's curves by round, and its test metrics at the best round; unknown ones left out.

    `test/M` is over all test data pooled, `test/average/M` the parties' plain average,
    `test/party/ID/M` one party's. A local model has neither of the first two. Those of personal
    models are named `personal_M` and stand at the last round.
    """
    values = _curves(result) | _tests(trial_of(result), result.cell.party, result.best_round)
    if result.personal:
        last = result.rounds[-1].number
        values |= _tests(personal_trial(result), None, last, "personal_")
    return [
        Point(None, name, value, step)
        for (name, step), value in values.items()
        if value is not None and math.isfinite(value)
    ]


def _curves(result: CellResult) -> Values:
    values: Values = {}
    for one in result.rounds:
        said = {name: one.values.get(name) for name in METRICS}
        said |= {f"personal_{name}": value for name, value in one.personal.items()}
        values |= {(f"federated/{name}", one.number): value for name, value in said.items()}
        values["round/seconds", one.number] = one.seconds
    return values


def _tests(trial: Trial, alone: str | None, step: int, prefix: str = "") -> Values:
    """A trial's test metrics; a model trained `alone` at a party has those by party only."""
    places = {f"party/{party}/": party for party in sorted(trial.scores)}
    if alone is None:  # a local model is not meant for the others
        places |= {"average/": AVERAGE, "": TOGETHER}
    return {
        (f"test/{place}{prefix}{metric}", step): trial.value(where, metric)
        for place, where in places.items()
        for metric in METRICS
    }


def _params(comparison: Comparison, result: CellResult) -> Mapping[str, Any]:
    """What one filters and groups cells by, then the task file that the cell trained by."""
    cell = result.cell
    chosen = {"strategy": cell.arm, "kind": cell.kind, "party": cell.party}
    return {**chosen, **comparison.task_of(cell).flat()}


def _found_or_made(client: MlflowClient, experiment: str, comparison: Comparison, data: str) -> Run:
    tags = {RUN: comparison.run, ROLE: COMPARISON, DATA: data}
    wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
    found = client.search_runs([experiment], wanted, order_by=["attributes.start_time ASC"])
    if found:
        return found[0]
    return client.create_run(experiment, tags=tags, run_name=comparison.run)


def _parent_tags(comparison: Comparison) -> dict[str, str]:
    return {
        "fedcore.strategies": ",".join(comparison.trained)[:5000],
        "fedcore.seeds": ",".join(map(str, comparison.seeds))[:5000],
        "fedcore.task_hash": comparison.task.fingerprint(),
        "fedcore.code_version": fedcore.__version__,
        "fedcore.parties": " ".join(sorted(comparison.parties))[:5000],
        "mlflow.source.name": "fedcore",
    }
