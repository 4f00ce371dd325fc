"""What stands in for a missing cell: a constant of the task file, or a statistic of training rows.

Sums are exact (`fsum`), so the order of the rows does not show.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import numpy as np

from fedcore.config.cells import number_of
from fedcore.config.feature import Feature
from fedcore.config.table import TableSection
from fedcore.encoding.columns import NO_CATEGORY, Column

Fills = dict[str, float]
# Strategies whose value comes from a party's training rows.
LEARNED = ("mean", "median", "most_frequent", "indicator")


def fit(table: TableSection, training: Mapping[str, Column]) -> tuple[Fills, tuple[str, ...]]:
    """Feature name -> what stands in; and the features that have no value to take it from.

    `training` is feature name -> (N,) values of the training rows alone. What has neither a value
    nor a `fill` gets 0 and is named, if it is needed.
    """
    fills, empty = {}, []
    for feature in table.features or ():
        found = _fill(table, feature, training[feature.name])
        if found is None:
            empty.append(feature.name)
        fills[feature.name] = 0.0 if found is None else found
    return fills, tuple(empty)


def constants(table: TableSection) -> Fills | None:
    """The fills where the task file alone says them; `None` where training rows have to."""
    if any(_learned(table, one) for one in table.features or ()):
        return None
    return {
        one.name: NO_CATEGORY if table.strategy(one) == "indicator" else _constant(one) or 0.0
        for one in table.features or ()
    }


def _learned(table: TableSection, feature: Feature) -> bool:
    """Whether a feature's fill comes from training rows; a missing category has no column."""
    strategy = table.strategy(feature)
    by_indicator = strategy == "indicator" and feature.kind == "categorical"
    return strategy in LEARNED and not by_indicator


def _fill(table: TableSection, feature: Feature, values: Column) -> float | None:
    strategy = table.strategy(feature)
    if strategy == "indicator" and feature.kind == "categorical":
        return NO_CATEGORY
    if strategy not in LEARNED:
        return _constant(feature) or 0.0
    known = values[np.isfinite(values) & (values != NO_CATEGORY)] if feature.levels else values
    known = known[np.isfinite(known)]
    return _statistic(strategy, known) if len(known) else _constant(feature)


def _statistic(strategy: str, known: Column) -> float:
    if strategy == "most_frequent":
        counts = Counter(known.tolist())
        return float(min(counts, key=lambda value: (-counts[value], value)))
    return float(np.median(known)) if strategy == "median" else mean_of(known)


def mean_of(values: Column) -> float:
    """The mean of (N,) numbers, N above 0, rounded once."""
    return math.fsum(values.tolist()) / len(values)


def _constant(feature: Feature) -> float | None:
    if feature.fill is None:
        return None
    if feature.levels:
        return float(feature.levels.index(feature.fill))
    return number_of(feature.fill)
