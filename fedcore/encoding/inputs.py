"""The matrix that the model sees: numbers as they are, categories one-hot, marks for missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fedcore.config.feature import Feature
from fedcore.config.table import TableSection
from fedcore.encoding.columns import Column
from fedcore.encoding.fills import Fills

Matrix = npt.NDArray[np.float64]


def lay_out(table: TableSection, values: Mapping[str, Column], fills: Fills) -> Matrix:
    """(N, F) inputs in the order of `table.inputs`; nothing is standardised yet.

    `values` is feature name -> (N,) as `read_column` gives them.
    """
    parts = [_inputs(table, one, values[one.name], fills[one.name]) for one in table.features or ()]
    return np.concatenate(parts, axis=1)


def categories_of(table: TableSection, feature: Feature, inputs: Matrix) -> list[str | None]:
    """The category that each row of (N, F) one-hot inputs says; `None` where it says none.

    The inverse of the one-hot encoding. With `drop_first`, no mark at all is the first category.
    """
    names = list(table.inputs)
    own = [name for name in table.inputs_of(feature) if name.startswith(f"{feature.name}=")]
    marks = inputs[:, [names.index(name) for name in own]]
    levels = feature.levels[len(feature.levels) - len(own) :]
    none = None if len(own) == len(feature.levels) else feature.levels[0]
    return [levels[int(row.argmax())] if row.any() else none for row in marks]


def scaled_inputs(table: TableSection) -> npt.NDArray[np.bool_]:
    """(F,) which inputs `standardise_columns` means."""
    if table.standardise_columns == "all":
        return np.ones(len(table.inputs), dtype=np.bool_)
    numeric = {one.name for one in table.features or () if one.kind == "numeric"}
    return np.array([name in numeric for name in table.inputs], dtype=np.bool_)


def _inputs(table: TableSection, feature: Feature, values: Column, fill: float) -> Matrix:
    missing = np.isnan(values)
    filled = np.where(missing, fill, values)
    names: Sequence[str] = table.inputs_of(feature)
    marks = [missing.astype(np.float64)] if table.strategy(feature) == "indicator" else []
    if feature.kind != "categorical":
        return np.stack([filled, *marks], axis=1)
    first = len(feature.levels) - (len(names) - len(marks))
    hot = [(filled == place).astype(np.float64) for place in range(first, len(feature.levels))]
    return np.stack([*hot, *marks], axis=1)
