"""What a registered version says of itself: where it comes from, and what it lacks."""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open

from fedcore.config.task import TaskFile
from fedcore.encoding.served import served, takes_cells
from fedcore.rounds.messages import End
from tasks.tracking_runs import BATCH_NORM, RUN

STATISTICS = ".running_mean"  # ends the name of a BatchNorm's buffer


def version_tags(task: TaskFile, training: str, end: End) -> dict[str, str]:
    """The tags of the version that the training of that id registers."""
    return {
        RUN: training,
        "fedcore.model": end.best.sha256,
        BATCH_NORM: task.federation.batch_norm,
    }


def description(task: TaskFile, training: str, end: End, weights: Path) -> str:
    """Where the version comes from, its classes, and a warning where statistics stayed home."""
    origin = f"Best of {end.rounds} rounds (round {end.best_round}) of {training}"
    text = f"{origin}; classes: {', '.join(end.classes)}"
    if task.federation.batch_norm == "local" and _has_statistics(weights):
        text += (
            ". Its BatchNorm statistics are the initial ones (batch_norm: local), so the model "
            "needs a party's own: best.safetensors in that party's output folder has them."
        )
    return text + _of_inputs(task)


def _of_inputs(task: TaskFile) -> str:
    """What a table's model takes where only the hospital can prepare it."""
    table, known = task.data.table, served(task)
    if table is None or takes_cells(table, known["scaling"]):
        return ""
    whose = "the hospital's own training rows"
    if table.standardise == "federated":
        whose = "the training rows of all parties (statistics.json)"
    return (
        f". It takes encoded inputs ({', '.join(table.inputs)}): missing values filled and columns "
        f"standardised by {whose}, as the task file says"
    )


def _has_statistics(weights: Path) -> bool:
    with safe_open(weights, framework="numpy") as file:
        names = file.keys()
    return any(name.endswith(STATISTICS) for name in names)
