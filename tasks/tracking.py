"""The only door to MLflow: what a training was, how its rounds went, and the model it made.

One experiment per task name, one parent run per training, one nested run per party. Runs are found
again by tags, so a coordinator that was killed at any line opens the same ones and writes what is
missing: each number once, each model version once. Nothing here starts a global active run, and
nothing imports torch. Every failure on the way to MLflow is one `TrackingAway`.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from mlflow import MlflowClient
from mlflow.entities import RunTag

from fedcore.config.task import TaskFile
from fedcore.rounds.messages import Agreement, End, Hello, Record
from tasks.tracking_client import DEFAULT_URI, TrackingAway, connect, reaching, shown
from tasks.tracking_metrics import Point, of_end, of_round
from tasks.tracking_points import Clock, log_points, unwritten
from tasks.tracking_registry import Origin, fetch_weights, register
from tasks.tracking_runs import REASON, Runs, find_or_create_runs

__all__ = ["Tracking", "TrackingAway", "fetch_weights"]

LOGGED = "fedcore.logged_rounds"


class Tracking:
    """One training as MLflow sees it. Every method may be repeated at any time."""

    def __init__(
        self, client: MlflowClient, uri: str, task: TaskFile, runs: Runs, clock: Clock = time.time
    ) -> None:
        """Hold the ids of the runs; use `Tracking.open` to find or create them."""
        self._client = client
        self._place = uri
        self._task = task
        self._runs = runs
        self._clock = clock
        self._sure = False  # whether the marker in MLflow tells all that was written

    @classmethod
    def open(
        cls,
        uri: str | None,
        task: TaskFile,
        agreement: Agreement,
        hellos: Mapping[str, Hello],
        clock: Clock = time.time,
    ) -> Self:
        """Find or create the experiment and the runs, and fill in what is known of them by now.

        Without `uri` that is `mlflow.db` in the current folder, with artifacts in `mlruns/` beside
        it. `hellos` may be incomplete: open again later and the tags are filled in. Raises
        `TrackingAway` within about three seconds when nothing listens there, and within about a
        hundred when something listens and stays silent.
        """
        place = uri or DEFAULT_URI
        client = connect(place)
        with reaching(place):
            runs = find_or_create_runs(client, task, agreement, hellos)
        return cls(client, place, task, runs, clock)

    @property
    def run_id(self) -> str:
        """MLflow's own id of the parent run."""
        return self._runs.parent

    @property
    def uri(self) -> str:
        """Where MLflow is, without user name and password."""
        return shown(self._place)

    def sync(self, records: Sequence[Record]) -> None:
        """Write the numbers of every round that MLflow does not have yet; `records` is all so far.

        The tag `fedcore.logged_rounds` holds the last round written in full. Where a crash or a
        lost answer leaves doubt, the rounds after it are compared with the metric history, so no
        step appears twice. Raises `TrackingAway`; the next call writes what was missed.
        """
        with reaching(self._place):
            logged = self._last_logged()
            missing = [record for record in records if record.round > logged]
            if missing:
                last = max(record.round for record in missing)
                points = [point for record in missing for point in of_round(record)]
                self._write_once(points, {LOGGED: str(last)})

    def finish(self, end: End, records: Sequence[Record], artifacts: Path, weights: Path) -> str:
        """Log what is left, register the best model once, end the runs; answer `name/version`.

        `artifacts` is a folder whose content is logged as it is; `weights` the safetensors file of
        `end.best`. The new version becomes `challenger`; it becomes `champion` only where the name
        has none yet: replacing a champion takes the gates. Test metrics stand at the best round.
        """
        self.sync(records)
        with reaching(self._place):
            self._sure = False  # test numbers have no marker of their own
            self._write_once(of_end(end), _outcome(end))
            self._client.log_artifacts(self._runs.parent, str(artifacts))
            version = register(self._client, self._task, self._origin(end), end, weights)
            self._client.set_tag(self._runs.parent, "fedcore.model_version", version)
            self._terminate("FINISHED")
        return version

    def fail(self, reason: str, *, killed: bool = False) -> None:
        """End the runs as FAILED, or KILLED where a person stopped them, with the reason as tag.

        Runs that finished stay so. `Tracking.open` wakes failed ones. Raises `TrackingAway`.
        """
        with reaching(self._place):
            if self._client.get_run(self._runs.parent).info.status == "FINISHED":
                return
            self._client.set_tag(self._runs.parent, REASON, reason[:5000])
            self._terminate("KILLED" if killed else "FAILED")

    def _origin(self, end: End) -> Origin:
        return Origin(end.run, self._runs.experiment, self._runs.parent)

    def _last_logged(self) -> int:
        tags = self._client.get_run(self._runs.parent).data.tags
        return int(tags.get(LOGGED, 0))

    def _write_once(self, points: Sequence[Point], tags: Mapping[str, str]) -> None:
        """Write the points, the parent's last; `tags` say that all is there and come after them."""
        known = self._sure
        self._sure = False
        by_run: dict[str, list[Point]] = defaultdict(list)
        for point in points:
            by_run[self._runs.of(point.party)].append(point)
        for run, wanted in by_run.items():
            missing = wanted if known else unwritten(self._client, run, wanted)
            log_points(self._client, run, missing, self._clock)
        self._client.log_batch(
            self._runs.parent, tags=[RunTag(name, value) for name, value in tags.items()]
        )
        self._sure = True

    def _terminate(self, status: str) -> None:
        for run in (*self._runs.parties.values(), self._runs.parent):
            self._client.set_terminated(run, status)


def _outcome(end: End) -> dict[str, str]:
    return {
        REASON: end.reason,
        "fedcore.rounds": str(end.rounds),
        "fedcore.best_round": str(end.best_round),
        "fedcore.best_model": end.best.sha256,
        "fedcore.final_model": end.final.sha256,
    }
