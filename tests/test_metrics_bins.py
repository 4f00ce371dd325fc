"""Counting in bins changes AUROC, average precision and calibration by little, and never unseen.

The exact values are computed here from the single probabilities, by the definitions.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcore.metrics import Scores
from fedcore.metrics_bins import (
    BINS,
    EDGES,
    area_under_roc,
    average_precision,
    bins_of,
    calibration,
    roc_curve,
)

WIDEST = 0.006


def exact_auroc(scores, positive) -> float:
    """The share of (positive, negative) pairs in the right order, ties half."""
    known = np.sort(scores[~positive])
    below = np.searchsorted(known, scores[positive], "left")
    through = np.searchsorted(known, scores[positive], "right")
    return float((below + through).mean() / 2 / len(known))


def exact_precision(scores, positive) -> float:
    """The mean, over the positives, of the precision among all that score as much or more."""
    up, down = np.sort(scores), np.sort(scores[positive])
    said = len(up) - np.searchsorted(up, scores[positive], "left")
    right = len(down) - np.searchsorted(down, scores[positive], "left")
    return float((right / said).mean())


def counted(scores, positive) -> tuple[np.ndarray, np.ndarray]:
    """Negatives and positives per bin."""
    bins = bins_of(scores)
    return tuple(np.bincount(bins[of], minlength=BINS) for of in (~positive, positive))


def enclosure(negatives, positives) -> tuple[float, float]:
    """The least and the greatest average precision that these counts can stand for."""
    false, true = (np.cumsum(counts[::-1]) for counts in (negatives, positives))
    false_before, true_before = false - negatives[::-1], true - positives[::-1]
    least = (true_before + 1) / (true_before + 1 + false)
    most = true / np.maximum(true + false_before, 1)
    weights = positives[::-1] / true[-1]
    return float((weights * least).sum()), float((weights * most).sum())


@st.composite
def worlds(draw, least: int = 2, narrowest: float = 0.01, widest: float = 20.0):
    """Probabilities (N,) as a network's float32, and who is positive: rare ones, confident ones."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size, wide = draw(st.integers(least, 2 * least + 60)), draw(st.floats(narrowest, widest))
    rare = max(draw(st.sampled_from([0.003, 0.03, 0.2, 0.5])), 20 / size if least > 2 else 0)
    positive = rng.random(size) < rare
    positive[:2] = True, False
    middle = np.log(rare / (1 - rare)) + draw(st.floats(-4, 1))
    odds = middle + wide * (rng.standard_normal(size) + draw(st.floats(0, 3)) * positive)
    return (1 / (1 + np.exp(-odds.astype(np.float32)))).astype(np.float32), positive


@given(worlds())
def test_what_bins_cost_is_bounded_by_the_pairs_that_share_one(world):
    negatives, positives = counted(*world)
    together = (negatives * positives).sum() / (negatives.sum() * positives.sum())
    assert abs(area_under_roc(negatives, positives) - exact_auroc(*world)) <= together / 2 + 1e-9
    least, most = enclosure(negatives, positives)
    for found in (average_precision(negatives, positives), exact_precision(*world)):
        assert least - 1e-9 <= found <= most + 1e-9


@settings(max_examples=60)
@given(worlds(least=5000, narrowest=1.0))
def test_of_a_large_cohort_they_cost_less_than_a_hundredth_of_the_area(world):
    negatives, positives = counted(*world)
    assert abs(area_under_roc(negatives, positives) - exact_auroc(*world)) < 0.01
    assert abs(average_precision(negatives, positives) - exact_precision(*world)) < 0.02


@pytest.mark.parametrize("prevalence", [0.03, 0.003])
def test_a_rare_outcome_whose_probabilities_lie_near_nought_keeps_its_area(prevalence):
    rng = np.random.default_rng(0)
    positive = rng.random(20_000) < prevalence
    odds = -9 + 3 * (rng.standard_normal(20_000) + positive)
    chance = (1 / (1 + np.exp(-odds))).astype(np.float32)
    scores = Scores.of(np.stack([1 - chance, chance], 1), positive.astype(int), 0.0, 20_000)
    assert scores.auroc == pytest.approx(exact_auroc(chance, positive), abs=0.002)
    assert scores.auprc == pytest.approx(exact_precision(chance, positive), abs=0.005)
    # Equal bins over [0, 1], as many, lose the area.
    equal = np.minimum((chance * BINS).astype(int), BINS - 1)
    assert exact_auroc(equal, positive) < exact_auroc(chance, positive) - 0.03


def test_every_probability_has_a_bin_and_the_bins_are_symmetric_and_narrow():
    assert (np.diff(EDGES) > 0).all()
    assert pytest.approx(1 - EDGES[::-1], abs=1e-15) == EDGES
    assert np.diff([0, *EDGES, 1]).max() < WIDEST
    ends = np.array([0.0, np.finfo(np.float32).tiny, 0.5, 1.0], np.float32)
    assert bins_of(ends).tolist() == [0, 0, BINS // 2, BINS - 1]
    odds = np.log(EDGES / (1 - EDGES))[10:-10]
    widths = 0.0251 * np.sqrt(np.maximum(np.abs(odds[1:]), np.abs(odds[:-1])) ** 2 + 0.25)
    assert (np.diff(odds) <= widths).all()


@given(st.lists(st.floats(0, 1), min_size=2))
def test_more_probability_is_never_a_lower_bin(values):
    assert (np.diff(bins_of(np.sort(values))) >= 0).all()


def test_without_both_kinds_of_image_there_is_no_area():
    none, some = np.zeros(BINS, np.int64), np.ones(BINS, np.int64)
    for area in (area_under_roc, average_precision):
        assert math.isnan(area(none, some))
        assert math.isnan(area(some, none))


@given(worlds())
def test_the_roc_curve_climbs_from_nothing_to_everything(world):
    for rates in roc_curve(*counted(*world)):
        assert (rates[0], rates[-1]) == (0, 1)
        assert (np.diff(rates) >= 0).all()


@given(worlds(), st.integers(1, 20))
def test_calibration_counts_every_image_once_and_stays_within_half_a_bin(world, groups):
    chance, positive = world
    rows = calibration(*counted(*world), groups)
    assert sum(count for _, _, count in rows) == len(chance)
    mean = sum(mean * count for mean, _, count in rows) / len(chance)
    assert mean == pytest.approx(chance.astype(float).mean(), abs=WIDEST / 2)
    assert sum(share * count for _, share, count in rows) == pytest.approx(positive.sum())
    places = [min(int(mean * groups), groups - 1) for mean, _, _ in rows]
    assert places == sorted(set(places))


def test_calibration_of_an_honest_forecast_is_the_diagonal_at_rare_outcomes_too():
    rng = np.random.default_rng(1)
    chance = 1 / (1 + np.exp(4 - rng.standard_normal(200_000)))
    rows = calibration(*counted(chance, rng.random(200_000) < chance))
    for mean, share, count in rows:
        assert share == pytest.approx(mean, abs=WIDEST / 2 + 4 * math.sqrt(mean / count))
    assert len(rows) > 3


def test_a_model_that_says_the_same_of_all_has_the_prevalence_as_its_precision():
    positive = np.arange(20_000) % 40 == 0
    for chance in (0.0, 0.025, 1.0):
        found = average_precision(*counted(np.full(len(positive), chance), positive))
        assert found == pytest.approx(positive.mean(), abs=1e-4)


def test_counts_of_any_size_are_scored_in_little_memory():
    many = np.full(BINS, 2**52 // BINS)
    assert average_precision(many, many) == pytest.approx(0.5)
    assert area_under_roc(many, many) == pytest.approx(0.5)
