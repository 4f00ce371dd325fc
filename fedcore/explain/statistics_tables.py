"""What the data looked like before the training: a column's row for each party and for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedcore.config.columns import layouts
from fedcore.explain.wording import UNKNOWN, number
from fedcore.statistics import ColumnSummary, read_columns

if TYPE_CHECKING:
    from fedcore.config.task import TaskFile
    from fedcore.rounds.statistics_messages import PooledStatistics

POOLED = "All together"
SHOWN_LABELS = 8
Rows = list[tuple[str, ...]]


@dataclass(frozen=True)
class DataStatistics:
    """The columns by party, those of all together, and who told nothing and why."""

    parties: Mapping[str, Sequence[ColumnSummary]]
    total: Sequence[ColumnSummary]
    absent: Mapping[str, str]

    def of(self, party: str, name: str) -> ColumnSummary | None:
        """A party's column; `None` where it told nothing of it."""
        columns = self.parties.get(party, ())
        return next((one for one in columns if one.name == name and one.rows), None)


def read_statistics(
    pooled: PooledStatistics | None, task: TaskFile, classes: tuple[str, ...]
) -> DataStatistics | None:
    """The message as columns; `None` where none was asked for. `ValueError` for another form."""
    if pooled is None:
        return None
    known = layouts(task, classes)
    return DataStatistics(
        {party: read_columns(content, known) for party, content in pooled.parties.items()},
        read_columns(pooled.total, known, pooled=True),
        pooled.absent,
    )


def rows_of(statistics: DataStatistics | None, labels: Mapping[str, str], few: int) -> Rows:
    """Column by column: each party in the order of `labels`, then all together."""
    rows: Rows = []
    for total in statistics.total if statistics is not None else ():
        if not total.rows:
            continue
        name = total.name.replace("_", " ")
        for party, label in labels.items():
            column = statistics.of(party, total.name) if statistics is not None else None
            if column is not None:
                rows.append((f"{name}: {label}", *_cells(column, few)))
        rows.append((f"{name}: {POOLED}", *_cells(total, few)))
    return rows


def _cells(column: ColumnSummary, few: int) -> tuple[str, ...]:
    missing = f"fewer than {few}" if column.missing is None else f"{column.missing:,}"
    deviation = column.deviation()
    moments = (number(column.mean), number(deviation))
    return f"{column.rows:,}", missing, *moments, _counts(column)


def _counts(column: ColumnSummary) -> str:
    """The largest cells of a categorical column in words; a numeric one has a picture."""
    if column.layout.kind == "numeric":
        return UNKNOWN
    named = zip((*column.layout.labels, "others"), column.cells, strict=True)
    told = sorted(((cell, name) for name, cell in named if cell), key=lambda one: (-one[0], one[1]))
    words = [f"{name} {cell:,}" for cell, name in told[:SHOWN_LABELS]]
    words += ["..."] if len(told) > SHOWN_LABELS else []
    words += [f"withheld {column.hidden:,}"] if column.hidden else []
    return ", ".join(words) or UNKNOWN
