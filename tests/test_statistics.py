"""Summaries of columns: pooled they are those of the union, in any order, and hostile ones fall."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcore.data.columns import CategoricalColumn, NumericColumn
from fedcore.statistics import ColumnSummary, Layout, pool, pool_columns, read_columns

AGE = Layout("age", "numeric", edges=(40.0, 60.0))
SEX = Layout("sex", "categorical", labels=("f", "m"))
MAKER = Layout("maker", "categorical", own_labels=True)
numbers = st.one_of(st.just(math.nan), st.floats(-1e6, 1e6), st.integers(0, 100).map(float))
tables = st.lists(st.lists(numbers, max_size=30), min_size=1, max_size=5)
labels = st.sampled_from(["f", "m", "other", None])


def numeric(values, least: int = 1) -> ColumnSummary:
    return NumericColumn.of(AGE, np.array(values, np.float64)).summary(least)


def categorical(values, layout: Layout = SEX, least: int = 1) -> ColumnSummary:
    return CategoricalColumn.of(layout, values).summary(least)


def test_a_column_of_three_numbers_is_summed_up_exactly() -> None:
    summary = numeric([30.0, 60.0, math.nan, 90.0])
    assert (summary.rows, summary.missing, summary.cells) == (4, 1, (1, 0, 2))
    assert (summary.measured, summary.mean, summary.spread) == (3, 60.0, 1800.0)
    assert summary.deviation() == math.sqrt(600.0)
    assert summary.deviation(ddof=1) == 30.0


@given(tables)
def test_pooled_is_the_summary_of_the_union(parties) -> None:
    told = [numeric(values) for values in parties]
    union = [value for values in parties for value in values]
    known = np.array([value for value in union if not math.isnan(value)])
    pooled = pool(told)
    assert pooled is not None
    silent = [values for values in parties if all(map(math.isnan, values))]
    assert pooled.rows == len(union) - sum(map(len, silent))
    assert pooled.measured == len(known)
    if not len(known):
        assert pooled.mean is None
        return
    counts = [(known < 40).sum(), ((known >= 40) & (known < 60)).sum(), (known >= 60).sum()]
    assert list(pooled.cells) == counts
    size = float(np.abs(known).max())
    assert pooled.mean == pytest.approx(known.mean(), rel=1e-12, abs=1e-12 * size)
    assert pooled.deviation() == pytest.approx(known.std(), rel=1e-9, abs=1e-12 * size)


@given(tables, st.randoms(use_true_random=False))
def test_neither_the_order_of_parties_nor_of_records_changes_a_bit(parties, random) -> None:
    told = [numeric(values).to_json() for values in parties]
    shuffled = [random.sample(values, len(values)) for values in parties]
    assert [numeric(values).to_json() for values in shuffled] == told
    pooled = pool(map(numeric, parties))
    assert pooled == pool(map(numeric, random.sample(parties, len(parties))))


def test_a_small_spread_beside_a_large_mean_is_not_lost() -> None:
    values = np.array([1e9, 1e9 + 1, 1e9 + 2])
    pooled = pool([numeric(values[:1]), numeric(values[1:])])
    assert pooled is not None
    assert pooled.spread == pytest.approx(2.0, rel=1e-6)


@given(st.lists(st.lists(labels, min_size=1, max_size=20), min_size=1, max_size=4))
def test_categories_add_up_whether_declared_or_each_partys_own(parties) -> None:
    union = [value for values in parties for value in values if value is not None]
    declared, own = (
        pool(map(categorical, parties)),
        pool([categorical(values, MAKER) for values in parties]),
    )
    assert declared is not None
    assert own is not None
    if not union:
        assert declared.rows == own.rows == 0
        return
    counts = {label: union.count(label) for label in ("f", "m", "other")}
    assert declared.cells == (counts["f"], counts["m"], counts["other"])
    found = dict(zip(own.layout.labels, own.cells, strict=False))
    assert found == {label: count for label, count in counts.items() if count}
    assert own.cells[-1] == 0
    assert declared.share("f") == counts["f"] / len(union)


@given(st.lists(numbers, max_size=40), st.integers(1, 6))
def test_a_summary_comes_back_from_json_as_it_was(values, least) -> None:
    summary = numeric(values, least)
    assert ColumnSummary.from_json(json.loads(json.dumps(summary.to_json())), AGE) == summary
    pooled = pool([summary, numeric([50.0, 70.0])])
    assert pooled is not None
    assert ColumnSummary.from_json(pooled.to_json(), AGE, pooled=True) == pooled


def test_what_a_party_withholds_is_left_out_of_the_pooled_cells() -> None:
    shy = ColumnSummary(AGE, 20, None, (None, None, 12))
    pooled = pool([shy, numeric([30.0, 61.0])])
    assert pooled is not None
    assert pooled.cells == (1, 0, 13)
    assert pooled.hidden == 8
    assert (pooled.rows, pooled.measured) == (22, 2)


def test_columns_in_other_cells_are_not_pooled() -> None:
    other = NumericColumn.of(Layout("age", "numeric", (50.0,)), np.array([1.0])).summary(1)
    with pytest.raises(ValueError, match="other cells"):
        pool([numeric([1.0]), other])
    assert pool([]) is None
    assert pool_columns([[], []]) == {}


GOOD = numeric([30.0, 60.0, math.nan, 90.0]).to_json()
HOSTILE = {
    "no object": [1, 2],
    "another field": GOOD | {"minimum": 3},
    "another name": GOOD | {"name": "weight"},
    "other edges": GOOD | {"edges": [41.0, 60.0]},
    "a negative count": GOOD | {"cells": [-1, 2, 2]},
    "half a patient": GOOD | {"cells": [1.5, 0.5, 1]},
    "true for one": GOOD | {"cells": [True, 0, 2]},
    "too many cells": GOOD | {"cells": [1, 0, 2, 0]},
    "an endless list": GOOD | {"cells": [0] * 100_000},
    "cells beyond the rows": GOOD | {"cells": [1, 0, 3]},
    "fewer than all and nothing withheld": GOOD | {"cells": [1, 0, 1]},
    "more missing than rows": GOOD | {"missing": 5},
    "a huge count": GOOD | {"rows": 10**13},
    "NaN for a mean": GOOD | {"mean": math.nan},
    "an endless mean": GOOD | {"mean": math.inf},
    "a mean beyond measure": GOOD | {"mean": 1e200},
    "a negative spread": GOOD | {"spread": -1.0},
    "text for a mean": GOOD | {"mean": "60"},
    "a mean over others": GOOD | {"measured": 2},
    "a mean without a spread": GOOD | {"spread": None},
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_no_honest_party_says_is_refused(kind) -> None:
    with pytest.raises(ValueError, match=r"."):
        ColumnSummary.from_json(HOSTILE[kind], AGE)


@pytest.mark.parametrize(
    "named", [["b", "a"], ["a", "a"], ["a\n"], ["é"], ["x" * 65], [3], ["a"] * 33, "ab", [""]]
)
def test_labels_that_a_party_names_itself_are_few_short_and_plain(named) -> None:
    good = categorical(["a", "b"], MAKER).to_json()
    with pytest.raises(ValueError, match="label"):
        ColumnSummary.from_json(good | {"labels": named}, MAKER)


def test_a_message_must_hold_the_agreed_columns() -> None:
    with pytest.raises(ValueError, match="1 columns"):
        read_columns([GOOD, GOOD], [AGE])
    assert read_columns([GOOD], [AGE])[0].name == "age"
    assert read_columns([], [AGE], pooled=True) == ()
