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

from fedcore.metrics import METRICS, OF_CLASSES, Scores, average, pool
from fedcore.metrics_bins import BINS, bins_of


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


@given(predictions(least=1))
def test_accuracy_and_loss_are_exact(drawn):
    probabilities, truth, losses = drawn
    scores = scores_of(drawn)
    assert scores.accuracy == (probabilities.argmax(axis=1) == truth).mean()
    assert scores.loss == losses.sum() / len(truth)
    named = {name: scores.value(name) for name in OF_CLASSES}
    assert scores.summary() == pytest.approx(named, nan_ok=True)


@given(predictions(least=1))
def test_f1_and_balanced_accuracy_are_those_of_the_counted_predictions(drawn):
    probabilities, truth, _ = drawn
    said, scores = probabilities.argmax(axis=1), scores_of(drawn)
    classes = probabilities.shape[1]
    found = [(said[truth == c] == c).mean() for c in range(classes) if (truth == c).any()]
    assert scores.balanced_accuracy == pytest.approx(np.mean(found))
    ones = []
    for c in [1] if classes == 2 else range(classes):
        right = ((said == c) & (truth == c)).sum()
        wrong = ((said == c) ^ (truth == c)).sum()
        if right + wrong:
            ones.append(2 * right / (2 * right + wrong))
    expected = np.mean(ones) if ones else math.nan
    assert scores.f1 == pytest.approx(expected, nan_ok=True)


def test_known_values_of_a_rare_outcome():
    # By hand: of 2 positives 1 is found, of 8 negatives 1 is called positive.
    positive = np.array([0.9, 0.2, 0.8, *[0.1] * 7])
    truth = np.array([1, 1, *[0] * 8])
    scores = Scores.of(np.stack([1 - positive, positive], 1), truth, 0.0, 10)
    assert scores.accuracy == 0.8
    assert scores.balanced_accuracy == (1 / 2 + 7 / 8) / 2
    assert scores.f1 == 2 / (2 + 2)
    assert scores.auroc == (8 + 7) / 16
    assert scores.auprc == (1 / 1 + 2 / 3) / 2


def test_every_metric_is_known_by_one_name_and_nothing_else_is():
    scores = scores_of((np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1]), np.array([0.1, 0.2])))
    assert set(scores.summary()) == set(OF_CLASSES)
    assert set(METRICS) == {*OF_CLASSES, "concordance"}
    assert math.isnan(scores.value("concordance"))


@given(predictions(classes=3, least=1))
def test_with_more_than_two_classes_it_is_the_mean_of_one_against_the_rest(drawn):
    probabilities, truth, _ = drawn
    binned = bins_of(probabilities)
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
    assert math.isnan(one_sided.auprc)
    assert math.isnan(one_sided.f1)
    assert one_sided.balanced_accuracy == 1.0


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


def test_counts_over_other_bins_are_never_added():
    with pytest.raises(ValueError, match="not counted in the bins"):
        Scores.from_json(good() | {"bins": "equal-400"})


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
