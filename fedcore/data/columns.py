"""A party's columns as they lie at home, and what of each may leave.

`summary(least)` is the only way out: it withholds what fewer than `least` patients stand behind.
With `least` 1 nothing is withheld.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from fedcore.data.suppression import Bools, Floats, Grain, Ints, withheld
from fedcore.statistics import LARGEST, MOST_LABELS, ColumnSummary, Layout, Level

MISSING = -1


class Column(Protocol):
    """One column of the training rows, raw: before any filling or standardisation."""

    @property
    def layout(self) -> Layout:
        """How it is counted."""

    def summary(self, least: int) -> ColumnSummary:
        """What of it may leave where each number needs `least` patients."""


Columns = Callable[[Level], Sequence[Column]]


def no_columns(_: Level) -> Sequence[Column]:
    """The columns of data that tells nothing."""
    return ()


@dataclass(frozen=True)
class NumericColumn:
    """`values` (M,), not finite where missing; `patients` (M,) numbers whose each record is.

    `counts` (M,) says how many records each stands for.
    """

    layout: Layout
    values: Floats = field(repr=False)
    patients: Ints = field(repr=False)
    counts: Ints = field(repr=False)

    @classmethod
    def of(cls, layout: Layout, values: Floats, patients: Ints | None = None) -> NumericColumn:
        """One record per value; without `patients` each is another patient's."""
        whose = np.arange(len(values)) if patients is None else patients
        return cls(layout, values, whose, np.ones(len(values), np.int64))

    def summary(self, least: int) -> ColumnSummary:
        """Cells, mean and spread as far as they may leave."""
        known = np.isfinite(self.values) & (np.abs(self.values) <= LARGEST)
        if _patients(self.patients[known]) < max(1, least):
            return _silent(self.layout)
        column, missing = self, 0
        if _patients(self.patients[~known]) < least:
            column = replace(self, values=np.where(known, self.values, self._median(known)))
        else:
            missing = int(self.counts[~known].sum())
            kept = (self.values[known], self.patients[known], self.counts[known])
            column = NumericColumn(self.layout, *kept)
        bare = ColumnSummary(
            self.layout, int(self.counts.sum()), _told_missing(self.layout, missing, least), ()
        )
        return column._filled_in(bare, least)

    def _median(self, known: Bools) -> float:
        """The lower median of the records that have a value: it is a value that occurs."""
        order = np.argsort(self.values[known], kind="stable")
        reached = np.cumsum(self.counts[known][order])
        place = int(np.searchsorted(reached, (reached[-1] + 1) // 2))
        return float(self.values[known][order][place])

    def _filled_in(self, bare: ColumnSummary, least: int) -> ColumnSummary:
        """The summary of a column in which every record has a value."""
        places = np.searchsorted(np.array(self.layout.edges), self.values, side="right")
        held = _held(places, self.patients, self.layout.cells)
        cells = np.bincount(places, self.counts, self.layout.cells).astype(np.int64)
        hidden, open_moments = self._withheld(held, least)
        summary = replace(bare, cells=_told(cells, hidden))
        if not open_moments:
            return summary
        total = int(self.counts.sum())
        # fsum is exact, so the order of the records does not show.
        mean = math.fsum(self.values * self.counts) / total
        spread = math.fsum(self.counts * (self.values - mean) ** 2)
        return replace(summary, measured=total, mean=mean, spread=spread)

    def _withheld(self, held: Bools, least: int) -> tuple[Bools, bool]:
        """Which cells stay at home, and whether mean and spread may leave.

        Where both together would be enough to count a rare value, the cells stay.
        """
        grain = Grain.of(self.values, self.patients)
        hidden = withheld(held, least) if held.shape[1] > 1 else np.zeros(1, bool)
        if grain.lone(least) or grain.solvable(0, least):
            return hidden, False
        told = int((held.any(axis=0) & ~hidden).sum()) if held.shape[1] > 1 else 0
        if grain.solvable(told, least):
            return np.ones_like(hidden), True
        return hidden, True


@dataclass(frozen=True)
class CategoricalColumn:
    """`codes` (M,) into `labels`, one more for any other value, -1 where missing; of `patients`."""

    layout: Layout
    codes: Ints = field(repr=False)
    patients: Ints = field(repr=False)
    labels: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, layout: Layout, values: Sequence[str | None], patients: Ints | None = None
    ) -> CategoricalColumn:
        """One record per text, `None` where missing; without `patients` each is another's."""
        labels = layout.labels
        if layout.own_labels:
            labels = tuple(sorted({value for value in values if value is not None}))
        place = {label: code for code, label in enumerate(labels)}
        codes = [MISSING if value is None else place.get(value, len(labels)) for value in values]
        whose = np.arange(len(values)) if patients is None else patients
        return cls(layout, np.array(codes, np.int64), whose, labels)

    def summary(self, least: int) -> ColumnSummary:
        """The cells as far as they may leave."""
        known = self.codes != MISSING
        names = self.labels or self.layout.labels
        rows, missing = len(self.codes), int((~known).sum())
        if _patients(self.patients[known]) < max(1, least):
            return _silent(self.layout)
        codes, patients = self.codes[known], self.patients[known]
        if _patients(self.patients[~known]) < least:
            holders = _held(codes, patients, len(names) + 1).sum(axis=0)
            codes, patients = np.where(known, self.codes, holders.argmax()), self.patients
            missing = 0
        held = _held(codes, patients, len(names) + 1)
        cells = np.bincount(codes, minlength=len(names) + 1)
        told = _told(cells, withheld(held, least))
        summary = ColumnSummary(self.layout, rows, _told_missing(self.layout, missing, least), told)
        return _own_labels(summary, names) if self.layout.own_labels else summary


def _own_labels(summary: ColumnSummary, names: Sequence[str]) -> ColumnSummary:
    """Only the labels whose cells may leave; all others are one cell without a name."""
    told = [
        (name, cell) for name, cell in zip(names, summary.cells, strict=False) if cell is not None
    ]
    largest = sorted(told, key=lambda one: (-one[1], one[0]))[:MOST_LABELS]
    shown = dict(sorted((name, cell) for name, cell in largest if cell))
    rest = summary.present - sum(shown.values())
    layout = replace(summary.layout, labels=tuple(shown))
    return replace(summary, layout=layout, cells=(*shown.values(), rest))


def _silent(layout: Layout) -> ColumnSummary:
    """A column of which fewer patients than may be told have a value: not even how many rows."""
    return ColumnSummary(layout, 0, None, (None,) * layout.cells)


def _told_missing(layout: Layout, missing: int, least: int) -> int | None:
    """None missing and few missing look alike, unless the column cannot miss any."""
    return None if least > 1 and not missing and not layout.complete else missing


def _told(cells: Ints, hidden: Bools) -> tuple[int | None, ...]:
    return tuple(None if away else int(cell) for cell, away in zip(cells, hidden, strict=True))


def _held(places: Ints, patients: Ints, cells: int) -> Bools:
    """(P, cells): which patient has a record in which cell."""
    known, rows = np.unique(patients, return_inverse=True)
    held = np.zeros((len(known), cells), bool)
    held[rows, places] = True
    return held


def _patients(codes: Ints) -> int:
    return len(np.unique(codes))
