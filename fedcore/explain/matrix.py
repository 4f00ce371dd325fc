"""Every model of a training on every party's test images: the cross-site evaluation as rows.

A row is a model: the best, the final, each party's last local one, and the personal ones, which
never leave and therefore stand only where they live.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedcore.explain.outcome import guest_first, outcome_of
from fedcore.metrics import metrics_of

if TYPE_CHECKING:
    from fedcore.rounds.messages import Agreement, End

LOCAL, PERSONAL = "local-", "personal"
NAMES = {
    "best": "best global model",
    "final": "final global model",
    PERSONAL: "personal model, each at home",
}


@dataclass(frozen=True)
class Matrix:
    """The metric by model and party; `None` where nothing is known or nothing can be said."""

    metric: str
    models: tuple[str, ...]
    parties: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]

    def to_csv(self) -> str:
        """The matrix as a table: one row per model, one column per party."""
        sink = io.StringIO()
        writer = csv.writer(sink, lineterminator="\n")
        writer.writerow(["model", *self.parties])
        for model, row in zip(self.models, self.values, strict=True):
            writer.writerow([model, *row])
        return sink.getvalue()


def matrix_of(agreement: Agreement, end: End) -> Matrix | None:
    """The matrix of a training that scored more than the global models; else `None`."""
    members = guest_first(agreement)
    labels = {member.party_id: member.label for member in members}
    ids = [member.party_id for member in members]
    local = [f"{LOCAL}{party}" for party in ids if f"{LOCAL}{party}" in end.scores]
    more = [*local, *([PERSONAL] if PERSONAL in end.scores else [])]
    if not more:
        return None
    models = [name for name in ("best", "final", *more) if name in end.scores]
    metric = metrics_of(str(agreement.task["task_type"]))[0]
    return Matrix(
        metric=metric,
        models=tuple(_name(model, labels) for model in models),
        parties=tuple(labels[party] for party in ids),
        values=tuple(_row(end, model, ids, metric) for model in models),
    )


def _name(model: str, labels: dict[str, str]) -> str:
    party = model.removeprefix(LOCAL)
    return NAMES.get(model) or f"{labels.get(party, party)}'s last local model"


def _row(end: End, model: str, ids: Sequence[str], metric: str) -> tuple[float | None, ...]:
    reported = outcome_of(end, model).reported
    values = [reported[one].value(metric) if one in reported else math.nan for one in ids]
    return tuple(None if math.isnan(value) else value for value in values)
