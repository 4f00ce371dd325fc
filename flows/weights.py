"""Where `model.weights` leads: a file beside the task file, or a model registered in MLflow."""

from __future__ import annotations

from pathlib import Path

from fedcore.config.task import TaskFile
from fedcore.errors import ModelError, problem

IN_EXCHANGE = "exchange:"


def resolve(task: TaskFile, task_path: Path, tracking_uri: str | None, folder: Path) -> Path | None:
    """The weights as a local file; `None` without weights, or when they lie in the exchange.

    Only the guest needs them. Raises `ModelError` when there is no such file or model.
    """
    named = task.model.weights
    if named is None or named.startswith(IN_EXCHANGE):
        return None
    if named.startswith("models:/"):
        # Importing MLflow takes a second, and few tasks start from a registered model.
        from tasks.tracking import fetch_weights  # noqa: PLC0415

        return fetch_weights(named, tracking_uri, folder)
    path = (task_path.parent / Path(named).expanduser()).resolve()
    if not path.is_file():
        remedy = f"there is no such file ({path}); put it there or correct the path"
        raise ModelError(problem(task_path, "model.weights", named, remedy))
    return path
