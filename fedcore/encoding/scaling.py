"""Scaling: (x - shift) / divisor, with numbers of training rows alone or of the task file.

`standard` takes mean and standard deviation, `min_max` the lowest value and the width up to the
highest. Whose training rows those are is the caller's affair: a party's own, or the pooled sums of
all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fedcore.config.columns import feature_layout
from fedcore.config.feature import Feature
from fedcore.config.table import TableSection
from fedcore.encoding.fills import mean_of
from fedcore.encoding.inputs import Matrix, scaled_inputs
from fedcore.statistics import ColumnSummary

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scaling:
    """(F,) what is subtracted from the inputs and divides them; 0 and 1 for what is not scaled."""

    shifts: Vector
    divisors: Vector

    @classmethod
    def none(cls, inputs: int) -> Self:
        """Nothing is changed."""
        return cls(np.zeros(inputs), np.ones(inputs))

    @classmethod
    def given(cls, table: TableSection, shifts: Vector, divisors: Vector) -> Self:
        """From (F,) statistics of all inputs: those that `standardise_columns` means take part.

        An input that never varies is shifted and not divided.
        """
        chosen = scaled_inputs(table)
        known = np.where(chosen & np.isfinite(divisors) & (divisors > 0), divisors, 1.0)
        return cls(np.where(chosen, shifts, 0.0), known)

    def apply(self, inputs: Matrix) -> npt.NDArray[np.float32]:
        """(N, F) float64 inputs as the float32 numbers that the model sees."""
        return ((inputs - self.shifts) / self.divisors).astype(np.float32)

    def to_json(self) -> dict[str, list[float]]:
        """Plain lists."""
        return {"shifts": self.shifts.tolist(), "divisors": self.divisors.tolist()}

    @classmethod
    def from_json(cls, content: Any) -> Self:
        """The inverse of `to_json`; `KeyError`, `TypeError` or `ValueError` for anything else."""
        if "means" in content:  # as models had it that were registered before there was min_max
            content = {"shifts": content["means"], "divisors": content["stds"]}
        shifts = np.array([float(one) for one in content["shifts"]])
        divisors = np.array([float(one) for one in content["divisors"]])
        if shifts.shape != divisors.shape or not (divisors > 0).all():
            raise ValueError("shifts and divisors do not belong together")
        return cls(shifts, divisors)


def agreed_scaling(table: TableSection) -> Scaling | None:
    """The scaling where the task file alone says it; `None` where training rows have to."""
    if table.standardise == "none":
        return Scaling.none(len(table.inputs))
    if table.standardise == "federated" and table.scaling == "min_max":
        ranges = {one.name: one.range for one in table.features or () if one.range is not None}
        bounds = np.array([ranges.get(name, (0.0, 1.0)) for name in table.inputs])
        return Scaling.given(table, bounds[:, 0], bounds[:, 1] - bounds[:, 0])
    return None


def fit_scaling(table: TableSection, training: Matrix) -> Scaling:
    """The scaling by (N, F) training rows, or as agreed; else nothing is changed.

    Sums are exact, so the order of the rows does not show.
    """
    agreed = agreed_scaling(table)
    if agreed is not None:
        return agreed
    if not len(training) or table.standardise != "party":
        return Scaling.none(training.shape[1])
    if table.scaling == "min_max":
        lowest = training.min(axis=0)
        return Scaling.given(table, lowest, training.max(axis=0) - lowest)
    means = np.array([mean_of(column) for column in training.T])
    freedom = len(training) - table.ddof
    pairs = zip(training.T, means, strict=True)
    return Scaling.given(table, means, np.array([_std(*pair, freedom) for pair in pairs]))


def federated_scaling(
    table: TableSection, told: Mapping[str, ColumnSummary]
) -> tuple[Scaling, tuple[str, ...]]:
    """The scaling by all parties' training rows, and the columns whose mean nobody may tell.

    `told` is the pooled statistics by column. Mean and deviation are those of the cells that hold
    a value, before any is filled; of a category's input, they follow from its share of these. A
    mark for missing cells stays as it is.
    """
    found = dict.fromkeys(table.inputs, (0.0, 0.0))
    untold = []
    for feature in table.features or ():
        if feature.kind != "numeric" and table.standardise_columns != "all":
            continue
        column = told.get(feature_layout(feature).name)
        known = None if column is None else dict(_moments(table, feature, column))
        if known is None or None in known.values():
            untold.append(feature.name)
        else:
            found |= {name: pair for name, pair in known.items() if pair is not None}
    numbers = np.array([*found.values()])
    return Scaling.given(table, numbers[:, 0], numbers[:, 1]), tuple(untold)


def _moments(
    table: TableSection, feature: Feature, column: ColumnSummary
) -> Iterator[tuple[str, tuple[float, float] | None]]:
    """Mean and deviation of each input of a feature; `None` where they cannot be known."""
    if feature.kind == "numeric":
        mean = column.mean
        deviation = column.deviation(table.ddof) or 0.0
        yield feature.name, None if mean is None else (mean, deviation)
        return
    # Where a cell is withheld, the shares of all are unknown.
    open_cells = column.present > 0 and not column.hidden
    labels = {f"{feature.name}={level}": level for level in feature.levels}
    if feature.kind == "binary":
        labels = {feature.name: feature.levels[1]}
    for name in (one for one in table.inputs_of(feature) if one in labels):
        share = column.share(labels[name]) if open_cells else None
        yield name, None if share is None else (share, _spread(share, column.present, table.ddof))


def _spread(share: float, count: int, ddof: int) -> float:
    """The standard deviation of `count` marks of which a share is 1 and the rest 0."""
    return math.sqrt(share * (1 - share) * count / (count - ddof)) if count > ddof else 0.0


def _std(column: Vector, mean: float, freedom: int) -> float:
    """Zero, and no rounding error, where all are equal."""
    if not freedom or (column == column[0]).all():
        return 0.0
    return math.sqrt(math.fsum(((column - mean) ** 2).tolist()) / freedom)
