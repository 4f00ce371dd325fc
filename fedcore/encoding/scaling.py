"""Standardisation: (x - mean) / standard deviation, with the numbers of training rows alone.

Whose training rows those are is the caller's affair: a party's own, or the pooled sums of all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fedcore.config.columns import feature_layout
from fedcore.config.table import TableSection
from fedcore.encoding.fills import mean_of
from fedcore.encoding.inputs import Matrix, scaled_inputs
from fedcore.statistics import ColumnSummary

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scaling:
    """(F,) means and standard deviations of the inputs; 0 and 1 for what is not standardised."""

    means: Vector
    stds: Vector

    @classmethod
    def none(cls, inputs: int) -> Self:
        """Nothing is changed."""
        return cls(np.zeros(inputs), np.ones(inputs))

    @classmethod
    def given(cls, table: TableSection, means: Vector, stds: Vector) -> Self:
        """From (F,) statistics of all inputs: those that `standardise_columns` means take part.

        An input that never varies is shifted and not divided.
        """
        chosen = scaled_inputs(table)
        divisors = np.where(chosen & np.isfinite(stds) & (stds > 0), stds, 1.0)
        return cls(np.where(chosen, means, 0.0), divisors)

    def apply(self, inputs: Matrix) -> npt.NDArray[np.float32]:
        """(N, F) float64 inputs as the float32 numbers that the model sees."""
        return ((inputs - self.means) / self.stds).astype(np.float32)

    def to_json(self) -> dict[str, list[float]]:
        """Plain lists."""
        return {"means": self.means.tolist(), "stds": self.stds.tolist()}

    @classmethod
    def from_json(cls, content: Any) -> Self:
        """The inverse of `to_json`; `KeyError`, `TypeError` or `ValueError` for anything else."""
        means = np.array([float(one) for one in content["means"]])
        stds = np.array([float(one) for one in content["stds"]])
        if means.shape != stds.shape or not (stds > 0).all():
            raise ValueError("means and stds do not belong together")
        return cls(means, stds)


def fit_scaling(table: TableSection, training: Matrix) -> Scaling:
    """The scaling by (N, F) training rows; nothing is changed where there is no row.

    Sums are exact, so the order of the rows does not show.
    """
    if not len(training) or table.standardise != "party":
        return Scaling.none(training.shape[1])
    means = np.array([mean_of(column) for column in training.T])
    freedom = len(training) - table.ddof
    pairs = zip(training.T, means, strict=True)
    return Scaling.given(table, means, np.array([_std(*pair, freedom) for pair in pairs]))


def federated_scaling(
    table: TableSection, told: Mapping[str, ColumnSummary]
) -> tuple[Scaling, tuple[str, ...]]:
    """The scaling by all parties' training rows, and the columns whose mean nobody may tell.

    `told` is the pooled statistics by column. The mean and the deviation are those of the cells
    that hold a value, before any is filled.
    """
    means, stds = dict.fromkeys(table.inputs, 0.0), dict.fromkeys(table.inputs, 1.0)
    untold = []
    for feature in table.features or ():
        if feature.kind != "numeric":
            continue
        column = told.get(feature_layout(feature).name)
        if column is None or column.mean is None:
            untold.append(feature.name)
            continue
        means[feature.name] = column.mean
        stds[feature.name] = column.deviation(table.ddof) or 0.0
    given = Scaling.given(table, np.array([*means.values()]), np.array([*stds.values()]))
    return given, tuple(untold)


def _std(column: Vector, mean: float, freedom: int) -> float:
    """Zero, and no rounding error, where all are equal."""
    if not freedom or (column == column[0]).all():
        return 0.0
    return math.sqrt(math.fsum(((column - mean) ** 2).tolist()) / freedom)
