"""The weighted mean against its formula, and its laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcore.errors import QuorumNotMet
from fedcore.strategies import WeightedMean, advance, weight_of

VALUES = st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3)
WEIGHTS = st.integers(1, 10_000)


def mean_of(updates: list[list[float]], weights: list[float]) -> np.ndarray:
    mean = WeightedMean()
    for update, weight in zip(updates, weights, strict=True):
        mean.add({"w": np.array(update, np.float32)}, weight)
    return mean.result()["w"]


def test_a_mean_of_nothing_is_no_model() -> None:
    with pytest.raises(QuorumNotMet):
        WeightedMean().result()


def test_a_world_of_three_numbers_has_the_exact_mean() -> None:
    assert mean_of([[1, 2, 3], [5, 6, 7]], [3, 1]).tolist() == [2, 3, 4]


@given(st.lists(st.tuples(VALUES, WEIGHTS), min_size=1, max_size=6))
def test_it_is_the_formula_in_float64_rounded_once(parties) -> None:
    updates = np.array([update for update, _ in parties], np.float32).astype(np.float64)
    weights = np.array([weight for _, weight in parties], np.float64)
    total = sum(weight * update for weight, update in zip(weights, updates, strict=True))
    expected = (total / weights.sum()).astype(np.float32)
    ours = mean_of([update for update, _ in parties], [weight for _, weight in parties])
    assert np.array_equal(ours, expected)


@given(st.lists(st.tuples(VALUES, WEIGHTS), min_size=1, max_size=6))
def test_it_lies_between_the_smallest_and_the_largest_update(parties) -> None:
    updates = np.array([update for update, _ in parties], np.float32)
    ours = mean_of([update for update, _ in parties], [weight for _, weight in parties])
    slack = np.abs(updates).max() * 1e-6
    assert (ours >= updates.min(axis=0) - slack).all()
    assert (ours <= updates.max(axis=0) + slack).all()


@given(VALUES, WEIGHTS, st.integers(1, 5))
def test_equal_updates_have_themselves_as_mean(update, weight, count) -> None:
    ours = mean_of([update] * count, [weight] * count)
    assert np.allclose(ours, np.array(update, np.float32), rtol=1e-7, atol=0)


@given(st.integers(1, 200_000))
def test_blocks_leave_out_no_element(size) -> None:
    mean = WeightedMean()
    mean.add({"w": np.arange(size, dtype=np.float32)}, 2.0)
    assert np.array_equal(mean.result()["w"], np.arange(size, dtype=np.float32))


def test_what_parties_do_not_share_stays_as_it_was() -> None:
    start = {"home": np.ones(2, np.float32), "w": np.ones(3, np.float32)}
    new = advance(start, {"w": np.full(3, 0.5, np.float32)})
    assert new["home"].tolist() == [1, 1]
    assert new["w"].tolist() == [1.5, 1.5, 1.5]


def test_weights_are_by_patients_by_images_or_equal() -> None:
    assert weight_of("patients", 3, 9) == 3
    assert weight_of("images", 3, 9) == 9
    assert weight_of("equal", 3, 9) == 1
