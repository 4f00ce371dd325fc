"""What a registered version says of itself: where it comes from, and what it lacks."""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open

from fedcore.config.task import TaskFile
from fedcore.encoding.served import served, takes_cells
from fedcore.models.pixels import OWN_NOTE
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
    lacking = _lacking(task, weights)
    if lacking:
        text += (
            f". Its {lacking[0]} are the initial ones ({lacking[1]}), so the model needs a party's "
            "own: best.safetensors in that party's output folder has them."
        )
    if task.data.normalize == "own" and task.data.table is None:
        text += f". It was {OWN_NOTE} (data.normalize: own)."
    return text + _of_inputs(task)


def _of_inputs(task: TaskFile) -> str:
    """What a table's model takes where only the hospital can prepare it."""
    table, known = task.data.table, served(task)
    if table is None or takes_cells(table, known["scaling"]):
        return ""
    whose = "the hospital's own training rows"
    if table.pools_statistics:
        whose = "the training rows of all parties (statistics.json)"
    scaled = "standardised" if table.scaling == "standard" else "scaled from 0 to 1"
    return (
        f". It takes encoded inputs ({', '.join(table.inputs)}): missing values filled and columns "
        f"{scaled} by {whose}, as the task file says"
    )


def _lacking(task: TaskFile, weights: Path) -> tuple[str, str] | None:
    """Which part of the network stayed at the parties, and by which setting."""
    federation = task.federation
    strategy = f"strategy: {federation.strategy}"
    if "head" in federation.kept_home:
        return "last layer's weights", strategy
    if not federation.kept_home or not _has_statistics(weights):
        return None
    if "norms" in federation.kept_home:
        return "BatchNorm weights and statistics", strategy
    return "BatchNorm statistics", "batch_norm: local"


def _has_statistics(weights: Path) -> bool:
    with safe_open(weights, framework="numpy") as file:
        names = file.keys()
    return any(name.endswith(STATISTICS) for name in names)
