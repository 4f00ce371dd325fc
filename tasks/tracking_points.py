"""Numbers on their way to MLflow: those that a run does not have yet, in requests of a size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mlflow import MlflowClient
from mlflow.entities import Metric

from tasks.tracking_metrics import Point

BATCH = 500  # numbers per request, half of what MLflow takes
Clock = Callable[[], float]


def log_points(client: MlflowClient, run: str, points: Sequence[Point], clock: Clock) -> None:
    """Write the points as they are."""
    now = int(clock() * 1000)
    metrics = [Metric(point.name, point.value, now, point.step) for point in points]
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run, metrics=metrics[start : start + BATCH])


def unwritten(client: MlflowClient, run: str, points: Sequence[Point]) -> list[Point]:
    """Those that the metric history of `run` does not hold yet."""
    started = client.get_run(run).data.metrics
    names = {point.name for point in points} & started.keys()
    steps = {
        (name, metric.step) for name in names for metric in client.get_metric_history(run, name)
    }
    return [point for point in points if (point.name, point.step) not in steps]
