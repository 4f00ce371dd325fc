"""Scores of several parties add up to the scores of all their images, and nothing false gets in."""

from __future__ import annotations

import copy
import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcore.metrics import BINS, Scores, area_under_roc, average, calibration, pool, roc_curve


@st.composite
def predictions(draw, classes: int | None = None, least: int = 0):
    """Probabilities (N, C), truth (N,) and a loss per image (N,)."""
    classes = classes or draw(st.integers(2, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    images = draw(st.integers(least, 40))
    # A power draws the rows towards the corners: many ties in the outermost bins.
    raw = rng.random((images, classes)) ** draw(st.sampled_from([0, 1, 20])) + 1e-12
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    return probabilities, rng.integers(0, classes, images), rng.exponential(size=images)


def scores_of(given_predictions, patients: int = 3) -> Scores:
    probabilities, truth, losses = given_predictions
    return Scores.of(probabilities, truth, losses.sum(), patients)


def same(left: Scores, right: Scores) -> bool:
    return left.to_json() == right.to_json()


def pairwise_auroc(scores, positive) -> float:
    """The share of (positive, negative) pairs in the right order, ties half: the definition."""
    pairs = list(itertools.product(scores[positive], scores[~positive]))
    return sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs) / len(pairs)


def share_of_close_pairs(scores, positive) -> float:
    """The share of (positive, negative) pairs that fall into one bin."""
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    pairs = list(itertools.product(bins[positive], bins[~positive]))
    return sum(p == n for p, n in pairs) / len(pairs)


@given(predictions(least=1))
def test_accuracy_and_loss_are_exact(drawn):
    probabilities, truth, losses = drawn
    scores = scores_of(drawn)
    assert scores.accuracy == (probabilities.argmax(axis=1) == truth).mean()
    assert scores.loss == losses.sum() / len(truth)
    named = {name: scores.value(name) for name in ("loss", "accuracy", "auroc")}
    assert scores.summary() == pytest.approx(named, nan_ok=True)


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 30))
def test_the_area_is_the_pairwise_one_within_half_the_pairs_that_share_a_bin(seed, some, others):
    rng = np.random.default_rng(seed)
    truth = np.repeat([1, 0], [some, others])
    score = rng.choice([rng.random(some + others), rng.integers(0, 5, some + others) / 4])
    scores = Scores.of(np.stack([1 - score, score], axis=1), truth, 0.0, 1)
    bound = share_of_close_pairs(score, truth == 1) / 2
    assert abs(scores.auroc - pairwise_auroc(score, truth == 1)) <= bound + 1e-12


@given(predictions(classes=3, least=1))
def test_with_more_than_two_classes_it_is_the_mean_of_one_against_the_rest(drawn):
    probabilities, truth, _ = drawn
    binned = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    known = [c for c in range(3) if 0 < (truth == c).sum() < len(truth)]
    areas = [pairwise_auroc(binned[:, c], truth == c) for c in known]
    expected = np.mean(areas) if areas else math.nan
    assert scores_of(drawn).auroc == pytest.approx(expected, nan_ok=True)


def test_perfect_reversed_and_blind_predictions_score_one_zero_and_a_half():
    truth = np.array([0, 0, 1, 1])
    for positive, area in (([0.1, 0.2, 0.8, 0.9], 1), ([0.9, 0.8, 0.2, 0.1], 0), ([0.5] * 4, 0.5)):
        column = np.array(positive)
        assert Scores.of(np.stack([1 - column, column], 1), truth, 0.0, 4).auroc == area


def test_without_images_or_without_both_classes_nothing_is_claimed():
    empty = Scores.of(np.zeros((0, 2)), np.zeros(0, np.int64), 0.0, 0)
    assert all(math.isnan(value) for value in empty.summary().values())
    one_sided = Scores.of(np.full((3, 2), 0.5), np.zeros(3, np.int64), 0.0, 3)
    assert math.isnan(one_sided.auroc)
    assert math.isnan(area_under_roc(np.zeros(BINS, np.int64), np.ones(BINS, np.int64)))


def test_the_outermost_probabilities_have_a_bin():
    scores = Scores.of(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1, 0]), 0.0, 2)
    assert scores.histograms[1, 1, BINS - 1] == 1
    assert scores.histograms[1, 0, 0] == 1


@given(st.lists(predictions(classes=3), min_size=1, max_size=4))
def test_pooling_equals_computing_on_the_union(parts):
    pooled = pool([scores_of(part, patients=2) for part in parts])
    union = Scores.of(
        np.concatenate([part[0] for part in parts]),
        np.concatenate([part[1] for part in parts]),
        math.fsum(part[2].sum() for part in parts),
        2 * len(parts),
    )
    assert pooled is not None
    assert same(pooled, union)


@given(st.lists(predictions(classes=2), min_size=1, max_size=5), st.randoms())
def test_pooling_does_not_depend_on_the_order_of_arrival(parts, random):
    scored = [scores_of(part) for part in parts]
    turned = random.sample(scored, len(scored))
    assert same(pool(scored), pool(iter(turned)))


def test_nobody_reported_is_not_zero():
    assert pool([]) is None


def test_scores_over_different_classes_are_not_pooled():
    two, three = (Scores.of(np.ones((1, c)) / c, np.zeros(1, np.int64), 0.0, 1) for c in (2, 3))
    with pytest.raises(ValueError, match="different numbers of classes"):
        pool([two, three])


@given(predictions())
def test_scores_survive_the_way_through_json(drawn):
    scores = scores_of(drawn)
    again = Scores.from_json(json.loads(json.dumps(scores.to_json(), allow_nan=False)))
    assert same(again, scores)
    assert np.array_equal(again.confusion, scores.confusion)
    assert np.array_equal(again.histograms, scores.histograms)
    assert again.histograms.dtype == np.int64


def good() -> dict:
    """Two images of two classes, scored."""
    scores = Scores.of(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1]), 0.5, 2)
    return scores.to_json()


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("patients", -1),
        ("patients", 1.5),
        ("patients", "2"),
        ("patients", True),
        ("patients", None),
        ("patients", 10**30),
        ("images", 3),
        ("images", -2),
        ("loss_sum", math.nan),
        ("loss_sum", math.inf),
        ("loss_sum", 10**400),
        ("loss_sum", 1.7e308),
        ("loss_sum", "0.5"),
        ("loss_sum", None),
        ("confusion", []),
        ("confusion", [[]]),
        ("confusion", 1),
        ("confusion", [1, 1]),
        ("confusion", [[1, 0]]),
        ("confusion", [[1, 0], [0]]),
        ("confusion", [[1, 0], [0, 1.5]]),
        ("confusion", [[2, 0], [1, -1]]),
        ("confusion", [[0, 1], [1, 1]]),
        ("confusion", [[2, 0], [0, 0]]),
        ("histograms", None),
        ("histograms", [1, 2, 3, 4]),
        ("histograms", [[0, 0, 0]]),
        ("histograms", [[2, 0, 0, 1]]),
        ("histograms", [[0, 2, 0, 1]]),
        ("histograms", [[0, 0, BINS, 1]]),
        ("histograms", [[0, 0, -1, 1]]),
        ("histograms", [[0, 0, 0, -1]]),
        ("histograms", [[0, 0, 0.5, 1]]),
        ("histograms", []),
        ("histograms", [[0, 0, 0, 2], [0, 1, 0, 0], [1, 0, 0, 2]]),
    ],
)
def test_false_scores_are_refused(field, bad):
    with pytest.raises(ValueError, match=r"\w"):
        Scores.from_json(good() | {field: bad})


def test_every_field_is_needed_and_no_other_is_taken():
    for field in good():
        content = good()
        del content[field]
        with pytest.raises(ValueError, match="scores have the fields"):
            Scores.from_json(content)
    for content in (good() | {"more": 1}, [], None, "x", 3):
        with pytest.raises(ValueError, match="scores have the fields"):
            Scores.from_json(content)


@given(st.data())
def test_one_image_moved_in_the_histograms_is_noticed(data):
    content = copy.deepcopy(good())
    row = data.draw(st.sampled_from(content["histograms"]))
    row[data.draw(st.sampled_from([0, 1]))] ^= 1
    with pytest.raises(ValueError, match="do not add up"):
        Scores.from_json(content)


@given(predictions(classes=2, least=1))
def test_the_roc_curve_climbs_from_nothing_to_everything(drawn):
    scores = scores_of(drawn)
    for rates in roc_curve(scores.histograms[1, 0], scores.histograms[1, 1]):
        assert rates[0] == 0
        assert rates[-1] in (0, 1)
        assert (np.diff(rates) >= 0).all()


@given(predictions(classes=2, least=1), st.integers(1, 20))
def test_calibration_counts_every_image_once_and_stays_within_half_a_bin(drawn, groups):
    probabilities, truth, _ = drawn
    scores = scores_of(drawn)
    rows = calibration(scores.histograms[1, 0], scores.histograms[1, 1], groups)
    counts = [count for _, _, count in rows]
    assert sum(counts) == len(truth)
    total = sum(mean * count for mean, _, count in rows)
    assert total / len(truth) == pytest.approx(probabilities[:, 1].mean(), abs=0.5 / BINS + 1e-9)
    assert sum(share * count for _, share, count in rows) == pytest.approx((truth == 1).sum())


def test_calibration_of_an_honest_forecast_is_the_diagonal():
    positives, negatives = np.zeros(BINS, np.int64), np.zeros(BINS, np.int64)
    for place in range(BINS):
        positives[place], negatives[place] = 2 * place + 1, 2 * BINS - 2 * place - 1
    for mean, share, count in calibration(negatives, positives):
        assert mean == pytest.approx(share)
        assert count == 2 * BINS * BINS // 10


def test_the_plain_average_is_of_the_parties_and_not_of_the_images():
    large = Scores.of(np.tile([0.9, 0.1], (8, 1)), np.zeros(8, np.int64), 0.8, 8)
    small = Scores.of(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([1, 1]), 2.4, 2)
    both = average([large, small])
    assert both["accuracy"] == (1.0 + 0.5) / 2
    assert both["loss"] == pytest.approx((0.1 + 1.2) / 2)
    assert math.isnan(both["auroc"])  # at neither are there both classes
    assert pool([large, small]).accuracy == 0.9


def test_a_number_that_one_party_lacks_is_the_mean_of_the_others():
    one_sided = Scores.of(np.array([[0.9, 0.1]]), np.array([0]), 0.1, 1)
    known = Scores.of(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1]), 0.2, 2)
    assert average([one_sided, known])["auroc"] == 1.0
    assert average([]) == {}
