"""What each metric is called and how its value is shown: the same on every page and figure."""

from __future__ import annotations

from collections.abc import Callable

from fedcore.explain.wording import number, percent
from fedcore.metrics import metrics_of

# Title and form of every name in `fedcore.metrics.METRICS`.
HEADINGS: dict[str, tuple[str, Callable[[float | None], str]]] = {
    "auroc": ("AUROC", number),
    "auprc": ("AUPRC", number),
    "accuracy": ("Accuracy", percent),
    "balanced_accuracy": ("Balanced accuracy", percent),
    "f1": ("F1", number),
    "concordance": ("Concordance index", number),
    "loss": ("Loss", number),
}
# Shown where there is room for a few only.
BRIEF = ("auroc", "accuracy", "concordance", "loss")
PLAIN = "average_"


def title_of(metric: str) -> str:
    """The metric's name as a heading."""
    return HEADINGS[metric][0]


def brief(task_type: str, select_by: str) -> tuple[str, ...]:
    """The few metrics that matter most for a task, the one that its best round has among them."""
    wanted = {*BRIEF, select_by.removeprefix(PLAIN)}
    return tuple(metric for metric in metrics_of(task_type) if metric in wanted)


def in_words(metric: str) -> str:
    """The metric's name inside a sentence; `average_NAME` is the parties' plain average of it."""
    title = title_of(metric.removeprefix(PLAIN))
    name = title if title.isupper() else title.lower()
    return f"the parties' average of {name}" if metric.startswith(PLAIN) else name
