"""What a party's data looks like, as numbers that may leave a hospital and can be pooled exactly.

A party counts at home and gives away a `ColumnSummary` for each column: how many records, how many
of them missing, mean and spread, counts in declared cells. Summaries of several parties add up.
What is withheld is `None`; the lowest and highest value of a column are never told, since each is
one patient's. Numpy and the standard library only: the coordinator uses it, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal, Self

Kind = Literal["numeric", "categorical"]
Level = Literal["none", "counts", "full"]
# More records (pixels, even) than any party has; sums of such numbers stay exact in float64.
MOST = 10**12
# A larger value is no measurement; squares of smaller ones cannot overflow.
LARGEST = 1e100
MOST_LABELS = 32  # of a column whose labels each party names itself
LONGEST_LABEL = 64
FIELDS = ("name", "kind", "edges", "labels", "rows", "missing", "cells")
MOMENTS = ("measured", "mean", "spread")


@dataclass(frozen=True)
class Layout:
    """How a column is counted, the same at every party.

    A numeric column has a cell below the first of `edges`, one from each edge to the next, and one
    from the last edge up. A categorical one has a cell for each of `labels` and a last one for
    all else; `own_labels`: each party names its own. `complete`: no value can be missing.
    """

    name: str
    kind: Kind
    edges: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    own_labels: bool = False
    complete: bool = False

    @property
    def cells(self) -> int:
        """How many cells the column is counted in."""
        return 1 + len(self.edges if self.kind == "numeric" else self.labels)


@dataclass(frozen=True)
class ColumnSummary:
    """One column over `rows` records of one party, or of several that were pooled.

    Without rows, too few patients stand behind the column, and nothing of it is told.
    `missing` is `None` where fewer records than may be told have no value; these then count as if
    they held the median (or the commonest label). `mean` is over `measured` records and `spread`
    the sum of their squared distances from it. A cell is `None` where it is withheld; pooled, a
    cell sums the parties that told it.
    """

    layout: Layout
    rows: int
    missing: int | None
    cells: tuple[int | None, ...]
    measured: int = 0
    mean: float | None = None
    spread: float | None = None

    @property
    def name(self) -> str:
        """The column's name."""
        return self.layout.name

    @property
    def present(self) -> int:
        """Records with a value; where `missing` is withheld, all."""
        return self.rows - (self.missing or 0)

    @property
    def hidden(self) -> int:
        """Records that lie in cells which were withheld."""
        return self.present - sum(cell or 0 for cell in self.cells)

    def deviation(self, ddof: int = 0) -> float | None:
        """The standard deviation, the divisor being `measured - ddof`; `None` where unknown."""
        if self.spread is None or self.measured <= ddof:
            return None
        return math.sqrt(self.spread / (self.measured - ddof))

    def share(self, label: str) -> float | None:
        """The share of a label among records with a value; `None` where withheld or empty."""
        cell = self.cells[self.layout.labels.index(label)]
        return None if cell is None or not self.present else cell / self.present

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        layout = self.layout
        content: dict[str, Any] = {
            "name": layout.name,
            "kind": layout.kind,
            "edges": list(layout.edges),
            "labels": list(layout.labels),
            "rows": self.rows,
            "missing": self.missing,
            "cells": list(self.cells),
        }
        return content | {name: getattr(self, name) for name in MOMENTS}

    @classmethod
    def from_json(cls, content: Any, layout: Layout, *, pooled: bool = False) -> Self:
        """The inverse of `to_json` for a column of this layout, of one party or `pooled`.

        Raises `ValueError` for whatever `to_json` cannot have said.
        """
        if not isinstance(content, dict) or content.keys() != {*FIELDS, *MOMENTS}:
            raise ValueError(f"a column has the fields {', '.join((*FIELDS, *MOMENTS))}")
        summary = cls(
            layout=_same_layout(content, layout, MOST_LABELS if not pooled else None),
            rows=_count(content["rows"]),
            missing=None if content["missing"] is None else _count(content["missing"]),
            cells=_cells(content["cells"]),
            measured=_count(content["measured"]),
            mean=_number(content["mean"], -LARGEST, LARGEST),
            spread=_number(content["spread"], 0.0, LARGEST * LARGEST * MOST),
        )
        summary._require_one_total(pooled)
        return summary

    def _require_one_total(self, pooled: bool) -> None:
        """Cells, missing and measured records fit into the rows."""
        if self.missing is not None and self.missing > self.rows:
            raise ValueError("more records are missing than there are")
        if len(self.cells) != self.layout.cells:
            raise ValueError(f"{self.name} has {self.layout.cells} cells")
        if self.hidden < 0 or (self.hidden and None not in self.cells and not pooled):
            raise ValueError("the cells do not add up to the records")
        known = self.mean is not None
        if known != (self.spread is not None) or known != (self.measured > 0):
            raise ValueError("mean, spread and measured are told together or not at all")
        fits = self.measured <= self.present if pooled else self.measured in (0, self.present)
        if not fits or (known and self.layout.kind != "numeric"):
            raise ValueError("the mean is over other records than those with a value")


def pool(parts: Iterable[ColumnSummary]) -> ColumnSummary | None:
    """One column of all parties together; `None` when nobody told of it.

    Mean and spread are computed with whole fractions and rounded once, so the order of the parties
    does not show in a single bit (Chan, Golub and LeVeque, The American Statistician 37, 1983,
    give the formula). Cells that a party withheld are left out. Raises `ValueError` when the parts
    are not counted in the same cells.
    """
    known = list(parts)
    if not known:
        return None
    layout = _common(known)
    known = [_relabelled(part, layout) for part in known]
    told = [part.missing for part in known if part.missing is not None]
    measured, mean, spread = _moments(known)
    return ColumnSummary(
        layout=layout,
        rows=sum(part.rows for part in known),
        missing=sum(told) if told else None,
        cells=tuple(_sum(column) for column in zip(*(part.cells for part in known), strict=True)),
        measured=measured,
        mean=mean,
        spread=spread,
    )


def pool_columns(parties: Iterable[Iterable[ColumnSummary]]) -> dict[str, ColumnSummary]:
    """`pool` for every column that any party told of, by name."""
    found: dict[str, list[ColumnSummary]] = {}
    for columns in parties:
        for column in columns:
            found.setdefault(column.name, []).append(column)
    pooled = {name: pool(parts) for name, parts in found.items()}
    return {name: column for name, column in pooled.items() if column is not None}


def read_columns(
    content: Sequence[Any], layouts: Sequence[Layout], *, pooled: bool = False
) -> tuple[ColumnSummary, ...]:
    """The columns of a message, which must be those of `layouts`, in that order; or `ValueError`.

    `pooled`: of all parties together; none at all where nobody told anything.
    """
    if pooled and not content:
        return ()
    if len(content) != len(layouts):
        raise ValueError(f"there are {len(layouts)} columns")
    return tuple(
        ColumnSummary.from_json(one, layout, pooled=pooled)
        for one, layout in zip(content, layouts, strict=True)
    )


def _common(parts: Sequence[ColumnSummary]) -> Layout:
    """The layout that all parts have; of labels that parties name themselves, every one."""
    first = parts[0].layout
    labels = first.labels
    if first.own_labels:
        labels = tuple(sorted({label for part in parts for label in part.layout.labels}))
    if any(replace(part.layout, labels=labels) != replace(first, labels=labels) for part in parts):
        raise ValueError(f"{first.name}: columns in other cells cannot be pooled")
    if not first.own_labels and any(part.layout.labels != labels for part in parts):
        raise ValueError(f"{first.name}: columns with other labels cannot be pooled")
    return replace(first, labels=labels)


def _relabelled(part: ColumnSummary, layout: Layout) -> ColumnSummary:
    """The part with a cell for every label of `layout`; one that it does not name holds nobody."""
    if part.layout.labels == layout.labels:
        return part
    named = dict(zip(part.layout.labels, part.cells, strict=False))
    cells = (*(named.get(label, 0) for label in layout.labels), part.cells[-1])
    return replace(part, layout=layout, cells=cells)


def _sum(cells: Sequence[int | None]) -> int | None:
    told = [cell for cell in cells if cell is not None]
    return sum(told) if told else None


def _moments(parts: Sequence[ColumnSummary]) -> tuple[int, float | None, float | None]:
    """Records, mean and spread of the parts that told theirs."""
    told = [
        (part.measured, Fraction(part.mean), Fraction(part.spread))
        for part in parts
        if part.mean is not None and part.spread is not None
    ]
    measured = sum(count for count, _, _ in told)
    if not measured:
        return 0, None, None
    mean = sum((count * one for count, one, _ in told), Fraction()) / measured
    between = sum((count * (one - mean) ** 2 for count, one, _ in told), Fraction())
    within = sum((spread for _, _, spread in told), Fraction())
    return measured, float(mean), float(between + within)


def _same_layout(content: Mapping[str, Any], layout: Layout, most: int | None) -> Layout:
    if layout.own_labels:
        layout = replace(layout, labels=_labels(content["labels"], most))
    said = (content["name"], content["kind"], content["edges"], content["labels"])
    if said != (layout.name, layout.kind, list(layout.edges), list(layout.labels)):
        raise ValueError(f"the column is not {layout.name} as the task file counts it")
    return layout


def _labels(labels: Any, most: int | None) -> tuple[str, ...]:
    """Labels that parties name themselves: few, short, printable, sorted, each once."""
    if not isinstance(labels, list) or (most is not None and len(labels) > most):
        raise ValueError(f"labels are no list of up to {most}")
    for label in labels:
        if not isinstance(label, str) or not 0 < len(label) <= LONGEST_LABEL:
            raise ValueError(f"a label is no text of up to {LONGEST_LABEL} letters")
        if not (label.isascii() and label.isprintable()):
            raise ValueError("a label has letters that cannot be printed")
    if labels != sorted(set(labels)):
        raise ValueError("labels are not sorted, each once")
    return tuple(labels)


def _cells(cells: Any) -> tuple[int | None, ...]:
    if not isinstance(cells, list):
        raise ValueError("cells are no list")
    return tuple(None if cell is None else _count(cell) for cell in cells)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MOST:
        raise ValueError("a count is no whole number of 0 or more")
    return value


def _number(value: Any, lowest: float, highest: float) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float) or not lowest <= value <= highest:
        raise ValueError("a mean or spread is no number in its range")
    return float(value)
