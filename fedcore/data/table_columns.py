"""The columns of a clinical table for the statistics: classes, and each feature as it lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fedcore.config.columns import feature_layout, split_layout
from fedcore.config.feature import Feature
from fedcore.config.table import TableSection
from fedcore.data.columns import MISSING, CategoricalColumn, Column, NumericColumn
from fedcore.data.splits import SPLITS, Split
from fedcore.data.suppression import Ints
from fedcore.data.table_rows import Rows
from fedcore.encoding.columns import NO_CATEGORY
from fedcore.statistics import Level


@dataclass(frozen=True)
class TableColumns:
    """The columns of usable `rows` in their `splits`; `names` are their class numbers."""

    table: TableSection
    rows: Rows = field(repr=False)
    splits: Sequence[Split] = field(repr=False)
    names: Sequence[int] = field(repr=False)
    classes: tuple[str, ...]

    def __call__(self, level: Level) -> Sequence[Column]:
        """The columns that `fedcore.config.columns.layouts` names, in its order."""
        if level == "none":
            return ()
        counted: list[Column] = [self._classes(split) for split in SPLITS]
        if level == "counts":
            return counted
        return [*counted, *(self._feature(one) for one in self.table.features or ())]

    def _classes(self, split: Split) -> CategoricalColumn:
        here = self._places(split)
        labels = [self.classes[self.names[place]] for place in here]
        return CategoricalColumn.of(split_layout(split, self.classes), labels, self._whose(here))

    def _feature(self, feature: Feature) -> Column:
        """The training rows' cells: what is missing stays so, whatever fills it later."""
        here, layout = self._places("train"), feature_layout(feature)
        values, whose = self.rows.values[feature.name][here], self._whose(here)
        if not feature.levels:
            return NumericColumn.of(layout, values, whose)
        other = np.where(values == NO_CATEGORY, len(feature.levels), values)
        codes = np.where(np.isnan(other), MISSING, other).astype(np.int64)
        return CategoricalColumn(layout, codes, whose, feature.levels)

    def _places(self, split: Split) -> Ints:
        return np.flatnonzero(np.array([one == split for one in self.splits], np.bool_))

    def _whose(self, places: Ints) -> Ints:
        _, numbers = np.unique(np.array(self.rows.patients, dtype=object), return_inverse=True)
        return np.asarray(numbers[places], dtype=np.int64)
