"""From scores to the numbers of a record: of one party, pooled, and the parties' plain average."""

from __future__ import annotations

import math
from typing import Any

from fedcore.config.task import TaskFile
from fedcore.metrics import METRICS, AnyScores, Scores, average, pool_any
from fedcore.rounds.messages import Numbers

ByParty = dict[str, AnyScores | None]


def headline(scores: AnyScores | None) -> dict[str, Any]:
    """The headline numbers; `None` in place of what is withheld or undefined."""
    if scores is None:
        return dict.fromkeys(METRICS)
    known = {name: _or_none(value) for name, value in scores.summary().items()}
    return {**dict.fromkeys(METRICS), **known}


def plain_average(scores: ByParty) -> dict[str, float | None]:
    """The plain mean over parties of each headline number; `None` for what nobody has."""
    found = average(score for score in scores.values() if score is not None)
    return {**dict.fromkeys(METRICS), **{name: _or_none(one) for name, one in found.items()}}


def own_headline(scores: AnyScores | None) -> Numbers | None:
    """The headline numbers of personal models; nothing where nobody has one."""
    return Numbers(**headline(scores)) if scores is not None else None


def pooled(scores: ByParty) -> AnyScores | None:
    """All parties' scores together; `None` when nobody reported."""
    return pool_any(one for one in scores.values() if one is not None)


def fits(scores: AnyScores, task: TaskFile) -> bool:
    """Whether the scores are of the task's kind."""
    if isinstance(scores, Scores):
        return task.task_type != "survival" and len(scores.confusion) == task.model.num_classes
    return task.task_type == "survival"


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
