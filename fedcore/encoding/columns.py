"""A column's cells as numbers: a number, a category's place, or missing; and why a cell is not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fedcore.config.cells import canonical, number_of
from fedcore.config.feature import Feature
from fedcore.config.table import TableSection

Column = npt.NDArray[np.float64]
NO_CATEGORY = -1.0
NOT_A_NUMBER, OUT_OF_RANGE = "not_a_number", "out_of_range"
UNKNOWN_CATEGORY, MISSING_VALUE = "unknown_category", "missing_value"
NO_LABEL, BAD_TIME, NO_PATIENT = "no_label", "bad_time", "no_patient"
NO_SPLIT, RAGGED = "no_split", "ragged"
# Why a row can be set aside.
REASONS = (
    BAD_TIME,
    MISSING_VALUE,
    NO_LABEL,
    NO_PATIENT,
    NO_SPLIT,
    NOT_A_NUMBER,
    OUT_OF_RANGE,
    RAGGED,
    UNKNOWN_CATEGORY,
)


def read_column(
    table: TableSection, feature: Feature, cells: Sequence[str]
) -> tuple[Column, list[str]]:
    """N cells as (N,) numbers and N reasons, empty where a cell can be used.

    NaN means missing. A category is its place among `feature.levels`, -1 for one that is ignored.
    """
    read = [_read(table, feature, cell) for cell in cells]
    values = np.array([value for value, _ in read], dtype=np.float64)
    return values, [reason for _, reason in read]


def is_missing(table: TableSection, feature: Feature | None, cell: str) -> bool:
    """Whether a cell means: missing."""
    text = cell.strip()
    if text in table.missing_values:
        return True
    return feature is not None and canonical(text) in feature.missing_values


def _read(table: TableSection, feature: Feature, cell: str) -> tuple[float, str]:
    if is_missing(table, feature, cell):
        reason = MISSING_VALUE if table.strategy(feature) == "drop_row" else ""
        return math.nan, reason
    if feature.kind == "numeric":
        return _number(feature, cell)
    text = canonical(cell)
    if text in feature.levels:
        return float(feature.levels.index(text)), ""
    ignored = table.unknown == "ignore" and feature.kind == "categorical"
    return NO_CATEGORY, "" if ignored else UNKNOWN_CATEGORY


def _number(feature: Feature, cell: str) -> tuple[float, str]:
    value = number_of(cell)
    if value is None:
        return math.nan, NOT_A_NUMBER
    if feature.range is not None and not feature.range[0] <= value <= feature.range[1]:
        return math.nan, OUT_OF_RANGE
    return value, ""
