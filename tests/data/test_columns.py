"""What of a column leaves: no small group can be read off it, nor worked out by subtraction."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcore.data.columns import CategoricalColumn, Column, NumericColumn
from fedcore.data.suppression import withheld
from fedcore.statistics import Layout

Counts = tuple[int, ...]


def counts_of(patients: int, cells: int) -> Iterator[Counts]:
    """Every way in which so many patients can lie in so many cells."""
    if cells == 1:
        yield (patients,)
        return
    for first in range(patients + 1):
        for rest in counts_of(patients - first, cells - 1):
            yield (first, *rest)


def categorical(counts: Counts) -> Column:
    """A column with so many patients of each label, of none of them, and without a value."""
    *shown, other, missing = counts
    labels = tuple("abcd"[: len(shown)])
    values = [label for label, count in zip(labels, shown, strict=True) for _ in range(count)]
    values += ["z"] * other + [None] * missing
    return CategoricalColumn.of(Layout("x", "categorical", labels=labels), values)


def numeric(counts: Counts) -> Column:
    """A column of the numbers 0, 1, ..., each in a cell of its own; the last count is missing."""
    *shown, missing = counts
    edges = tuple(number + 0.5 for number in range(len(shown) - 1))
    values = np.repeat([*map(float, range(len(shown))), math.nan], [*shown, missing])
    return NumericColumn.of(Layout("x", "numeric", edges), values)


@pytest.mark.parametrize("make", [categorical, numeric])
@pytest.mark.parametrize("least", [2, 3, 4])
@pytest.mark.parametrize("cells", [2, 3, 4])
def test_every_small_cell_might_as_well_be_empty_or_large(
    make: Callable[[Counts], Column], least: int, cells: int
) -> None:
    """Whoever knows rule, minimum and number of patients cannot tell that a few are in a cell.

    Exhaustive: among all data that leave the same summary, each cell (and the missing values) that
    holds a few patients somewhere holds none or at least the minimum somewhere else.
    """
    for patients in range(least, 9):
        alike: dict[str, list[Counts]] = defaultdict(list)
        for counts in counts_of(patients, cells + 1):
            left = json.dumps(make(counts).summary(least).to_json())
            alike[left].append(counts)
        for members in alike.values():
            for cell in zip(*members, strict=True):
                assert any(count == 0 or count >= least for count in cell), members


@given(
    st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=12),
    st.integers(1, 4),
    st.permutations(range(4)),
)
def test_what_leaves_is_the_same_however_withheld_cells_are_exchanged(rows, least, order) -> None:
    """Patients may have records in several cells."""
    held = np.array(rows)
    hidden = withheld(held, least)
    moved = held.copy()
    away = [place for place in order if hidden[place]]
    moved[:, np.flatnonzero(hidden)] = held[:, away]
    assert (withheld(moved, least) == hidden).all()
    small = held.sum(axis=0)
    assert not ((small > 0) & (small < least) & ~hidden).any()
    together = int(held[:, hidden].any(axis=1).sum())
    assert together == 0 or together >= least or held.any(axis=1).sum() <= least


def test_a_cell_of_many_images_of_few_patients_is_small() -> None:
    layout = Layout("class", "categorical", labels=("ill", "well"), complete=True)
    patients = np.array([0] * 50 + list(range(1, 21)))
    column = CategoricalColumn.of(layout, ["ill"] * 50 + ["well"] * 20, patients)
    assert column.summary(1).cells == (50, 20, 0)
    assert column.summary(5).cells == (None, None, None)


def test_few_missing_values_leave_as_if_they_were_the_median() -> None:
    values = np.array([*np.arange(40.0), math.nan, math.nan])
    filled = np.where(np.isnan(values), 19.0, values)
    layout = Layout("age", "numeric", (10.0, 20.0))
    few = NumericColumn.of(layout, values).summary(3)
    assert few == NumericColumn.of(layout, filled).summary(3)
    assert few.missing is None
    assert few.mean == pytest.approx(filled.mean())
    many = NumericColumn.of(layout, values).summary(2)
    assert many.missing == 2
    assert many.mean == 19.5


def test_of_a_column_that_hardly_anybody_has_nothing_leaves_not_even_how_many() -> None:
    values = np.array([math.nan] * 50 + [1.0, 2.0])
    told = NumericColumn.of(Layout("x", "numeric", (1.5,)), values).summary(5)
    assert (told.rows, told.missing, told.cells, told.mean) == (0, None, (None, None), None)


@pytest.mark.parametrize("odd", [[1.0], [1.0, 2.0, 3.0, 4.0]], ids=["one value", "a few values"])
def test_a_mean_that_would_tell_of_few_patients_stays(odd) -> None:
    """All others have the same value, so that the sum is that of a few."""
    values = np.array([0.0] * 100 + odd)
    assert NumericColumn.of(Layout("x", "numeric"), values).summary(5).mean is None
    assert NumericColumn.of(Layout("x", "numeric"), values).summary(1).mean is not None


def test_cells_stay_where_they_and_the_mean_together_would_tell_of_few() -> None:
    values = np.array([0.0] * 50 + [1.0] * 30 + [2.0 + step for step in range(12)])
    layout = Layout("x", "numeric", (0.5, 1.5))
    told = NumericColumn.of(layout, values).summary(5)
    assert told.mean == pytest.approx(values.mean())
    assert told.cells == (None, None, None)
    assert told.hidden == len(values)


def test_values_that_are_no_numbers_are_missing() -> None:
    values = np.array([1.0, math.inf, -math.inf, 1e200, math.nan])
    told = NumericColumn.of(Layout("x", "numeric"), values).summary(1)
    assert (told.missing, told.mean) == (4, 1.0)


def test_own_labels_are_told_if_enough_patients_have_them_and_the_rest_has_no_name() -> None:
    layout = Layout("maker", "categorical", own_labels=True)
    values = ["A"] * 9 + ["B"] * 7 + ["Dr Rare"] * 2
    told = CategoricalColumn.of(layout, values).summary(5)
    assert told.layout.labels == ("A",)
    assert told.cells == (9, 9)
    assert "Rare" not in json.dumps(told.to_json())
    many = CategoricalColumn.of(layout, [f"m{number:02d}" for number in range(40)]).summary(1)
    assert len(many.layout.labels) == 32
    assert many.cells[-1] == 8
