"""The robust strategies against their formulas, and what they promise with hostile parties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedcore.config.federation import FederationSection
from fedcore.config.robust import ROBUST, least_updates
from fedcore.errors import QuorumNotMet
from fedcore.params import Params, digest, norm
from fedcore.strategies import Contribution, WeightedMean, rule_for

LARGEST = float(np.finfo(np.float32).max)
HONEST = arrays(np.float32, (5, 3), elements=st.floats(-100, 100, width=32))
# Up to two of seven: finite, and as large as a float can be.
HOSTILE = arrays(np.float32, (2, 3), elements=st.floats(-LARGEST, LARGEST, width=32))
ORDER = st.permutations(range(7))
START = {"count": np.array(3, np.int64), "w": np.zeros(3, np.float32)}


def step(strategy: str, rows, counts=None, order=None, start=START, **said) -> Params:
    """What the strategy makes of one update per row, given in any order."""
    section = FederationSection.model_validate({"strategy": strategy, "hostile": 2, **said})
    rule = rule_for(section)
    places = list(range(len(rows))) if order is None else order
    for place in places:
        count = np.array(counts[place] if counts is not None else 1, np.int64)
        update = {"count": count, "w": np.asarray(rows[place], np.float32)}
        rule.add(Contribution(f"{place:03d}", 1.0 + place, update))
    return rule.finish(start, {}).model


def with_hostile(honest: np.ndarray, hostile: np.ndarray, order: list[int]) -> np.ndarray:
    """Seven updates, the hostile two at any place."""
    return np.concatenate([honest, hostile])[order]


@pytest.mark.parametrize("strategy", ROBUST)
def test_too_few_updates_for_the_promise_are_refused_in_a_sentence(strategy) -> None:
    least = least_updates(strategy, 2, None)
    rows = np.zeros((least - 1, 3), np.float32)
    with pytest.raises(QuorumNotMet, match=rf"{least - 1} updates .*{strategy}.* needs {least}"):
        step(strategy, rows)


def test_an_array_that_too_few_parties_share_is_refused_in_a_sentence() -> None:
    rule = rule_for(FederationSection(strategy="median", hostile=1))
    for place in range(3):
        more = {"v": np.zeros(1, np.float32)} if place else {}
        rule.add(Contribution(str(place), 1.0, {"w": np.zeros(3, np.float32), **more}))
    with pytest.raises(QuorumNotMet, match="v is shared by 2 parties and median"):
        rule.finish({**START, "v": np.zeros(1, np.float32)}, {})


def test_whole_updates_that_do_not_hold_the_same_arrays_are_not_compared() -> None:
    rule = rule_for(FederationSection(strategy="krum", hostile=0))
    for place in range(4):
        more = {} if place == 3 else {"v": np.zeros(1, np.float32)}
        rule.add(Contribution(str(place), 1.0, {"w": np.zeros(3, np.float32), **more}))
    with pytest.raises(QuorumNotMet, match=r"v is not shared by all.*federation\.strategy"):
        rule.finish({**START, "v": np.zeros(1, np.float32)}, {})


@settings(max_examples=60)
@given(HONEST, HOSTILE, ORDER)
def test_median_is_numpys_and_within_the_honest_values(honest, hostile, order) -> None:
    rows = with_hostile(honest, hostile, order)
    ours = step("median", rows)["w"]
    assert np.array_equal(ours, np.median(rows, axis=0))
    assert (ours >= honest.min(axis=0)).all()
    assert (ours <= honest.max(axis=0)).all()


@settings(max_examples=60)
@given(HONEST, HOSTILE, ORDER)
def test_trimmed_mean_is_its_formula_and_within_the_honest_values(honest, hostile, order) -> None:
    rows = with_hostile(honest, hostile, order)
    ours = step("trimmed_mean", rows)["w"]
    expected = np.sort(rows.astype(np.float64), axis=0)[2:-2].sum(axis=0) / 3
    assert np.allclose(ours, expected, rtol=1e-6, atol=1e-6)
    assert (ours >= honest.min(axis=0)).all()
    assert (ours <= honest.max(axis=0)).all()


@given(HONEST)
def test_trimmed_mean_that_trims_nothing_is_the_plain_mean_to_the_bit(honest) -> None:
    mean = WeightedMean()
    for row in honest:
        mean.add({"w": row}, 1.0)
    assert np.array_equal(step("trimmed_mean", honest, hostile=0)["w"], mean.result()["w"])


def krum_by_definition(rows: np.ndarray, hostile: int) -> list[int]:
    """The places of the rows by score, as the paper writes it."""
    rows = rows.astype(np.float64)
    scores = []
    for one in range(len(rows)):
        others = sorted(
            float(((rows[one] - rows[other]) ** 2).sum())
            for other in range(len(rows))
            if other != one
        )
        scores.append(sum(others[: len(rows) - hostile - 2]))
    return sorted(range(len(rows)), key=lambda one: scores[one])


@settings(max_examples=60)
@given(HONEST, HOSTILE, ORDER)
def test_krum_returns_one_of_its_inputs_whole_and_to_the_bit(honest, hostile, order) -> None:
    rows = with_hostile(honest, hostile, order)
    ours = step("krum", rows, counts=range(7))
    chosen = int(ours["count"]) - 3
    assert digest({"w": ours["w"]}) == digest({"w": rows[chosen] + np.float32(0)})


@settings(max_examples=60)
@given(HONEST, HOSTILE, ORDER)
def test_krum_never_takes_what_lies_beyond_all_honest_neighbourhoods(
    honest, hostile, order
) -> None:
    # An honest update has n - f - 2 = 3 honest neighbours within the diameter, and a hostile one
    # with a better score lies within that score of an honest one.
    rows = with_hostile(honest, hostile, order).astype(np.float64)
    ours = step("krum", rows)["w"].astype(np.float64)
    diameter = max(float(np.linalg.norm(a - b)) for a in honest for b in honest.astype(np.float64))
    nearest = min(float(np.linalg.norm(ours - one)) for one in honest.astype(np.float64))
    assert nearest <= np.sqrt(3) * diameter * (1 + 1e-6)


def test_krum_and_multi_krum_on_a_world_of_three_numbers() -> None:
    rows = np.array(
        [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 2], [0, 0, 3], [90, 0, 0], [-90, 0, 0]], np.float32
    )
    order = krum_by_definition(rows, 2)
    assert order[0] == 0
    assert step("krum", rows)["w"].tolist() == rows[order[0]].tolist()
    mean = rows[order[:3]].astype(np.float64).mean(axis=0).astype(np.float32)
    assert np.array_equal(step("multi_krum", rows)["w"], mean)
    assert step("multi_krum", rows, selected=1)["w"].tolist() == rows[order[0]].tolist()


def test_multi_krum_that_averages_more_than_is_proven_is_refused() -> None:
    with pytest.raises(QuorumNotMet, match="needs 8"):
        step("multi_krum", np.zeros((7, 3)), selected=4)


def test_of_equal_scores_the_first_party_is_taken() -> None:
    rows = np.zeros((7, 3), np.float32)
    assert int(step("krum", rows, counts=range(7))["count"]) == 3


@settings(max_examples=60)
@given(HONEST, HOSTILE, ORDER)
def test_geometric_median_stays_near_the_honest_mean(honest, hostile, order) -> None:
    ours = step("geometric_median", with_hostile(honest, hostile, order))["w"].astype(np.float64)
    honest = honest.astype(np.float64)
    center = honest.mean(axis=0)
    radius = max(float(np.linalg.norm(one - center)) for one in honest)
    assert np.linalg.norm(ours - center) <= 2 * 5 / (7 - 4) * radius * (1 + 1e-4) + 1e-4


@settings(max_examples=60)
@given(HONEST)
def test_no_point_nearby_has_a_smaller_sum_of_distances_than_the_geometric_median(honest) -> None:
    def total(point: np.ndarray) -> float:
        return float(np.linalg.norm(honest.astype(np.float64) - point, axis=1).sum())

    ours = step("geometric_median", honest)["w"].astype(np.float64)
    best = total(ours)
    for shift in np.concatenate([np.eye(3), -np.eye(3)]) * 0.5:
        assert best <= total(ours + shift) + 1e-3
    assert best <= min(total(point) for point in honest.astype(np.float64)) + 1e-3


def test_geometric_median_on_a_world_of_three_numbers() -> None:
    # Four corners of a square around the fifth: the middle has the smallest sum of distances.
    rows = [[1, 1, 5], [-1, 1, 5], [1, -1, 5], [-1, -1, 5], [0, 0, 5]]
    assert np.allclose(step("geometric_median", rows)["w"], [0, 0, 5], atol=1e-6)


def test_the_geometric_median_withstands_what_float64_cannot_square() -> None:
    rule = rule_for(FederationSection(strategy="geometric_median", hostile=1))
    for place, value in enumerate([1.0, 2.0, 1e308]):
        rule.add(Contribution(str(place), 1.0, {"w": np.full(3, value)}))
    new = rule.finish({"w": np.zeros(3)}, {}).model["w"]
    assert (new >= 1).all()
    assert (new <= 2).all()


@settings(max_examples=60)
@given(HONEST, HOSTILE, ORDER)
def test_norm_clipping_moves_no_farther_than_the_longest_honest_update(
    honest, hostile, order
) -> None:
    longest = max(norm({"w": one}) for one in honest)
    assume(longest > 1e-30)
    ours = step("norm_clipping", with_hostile(honest, hostile, order))
    assert norm({"w": ours["w"]}) <= longest * (1 + 1e-6)


def test_norm_clipping_on_a_world_of_three_numbers() -> None:
    rows = np.array([[3, 4, 0], [0, 0, 1], [0, 30, 40]], np.float32)
    expected = (rows[0] + rows[1] + rows[2] / 10) / 3
    assert np.allclose(step("norm_clipping", rows, hostile=1)["w"], expected, rtol=1e-6)
    expected = (rows[0] / 5 + rows[1] + rows[2] / 50) / 3
    assert np.allclose(step("norm_clipping", rows, max_norm=1)["w"], expected, rtol=1e-6)


def test_norm_clipping_of_equally_long_updates_is_the_plain_mean_to_the_bit() -> None:
    rows = np.array([[3, 4, 0], [0, 3, 4], [5, 0, 0]], np.float32)
    plain = step("trimmed_mean", rows, hostile=0)["w"]
    assert np.array_equal(step("norm_clipping", rows, hostile=1)["w"], plain)


@pytest.mark.parametrize("strategy", ROBUST)
@settings(max_examples=20)
@given(honest=HONEST, hostile=HOSTILE, order=ORDER)
def test_the_order_of_arrival_changes_no_bit(strategy, honest, hostile, order) -> None:
    rows = np.concatenate([honest, hostile])
    plain = step(strategy, rows, counts=range(7))
    assert digest(plain) == digest(step(strategy, rows, counts=range(7), order=order))


@pytest.mark.parametrize("strategy", [name for name in ROBUST if name != "krum"])
def test_counters_are_the_median_whatever_a_hostile_party_counts(strategy) -> None:
    counts = [4, 5, 6, 7, 8, 2**62, 2**62]
    rows = np.ones((7, 3), np.float32)
    expected = {"trimmed_mean": 3 + round((6 + 7 + 8) / 3)}.get(strategy, 3 + 7)
    new = step(strategy, rows, counts=counts)["count"]
    assert new.dtype == np.int64
    assert int(new) == expected


def test_an_even_number_of_counters_has_the_middle_rounded_to_even() -> None:
    rows = np.ones((4, 3), np.float32)
    assert int(step("median", rows, counts=[1, 2, 3, 9], hostile=1)["count"]) == 3 + 2


@pytest.mark.parametrize("strategy", ROBUST)
@settings(max_examples=20)
@given(
    start=arrays(np.float32, 3, elements=st.floats(0, 10, width=32)),
    trained=arrays(np.float32, (7, 3), elements=st.floats(0, 10, width=32)),
)
def test_what_is_non_negative_at_every_party_stays_so(strategy, start, trained) -> None:
    model = {"count": np.array(0, np.int64), "w": start}
    assert (step(strategy, trained - start, start=model)["w"] >= 0).all()


@pytest.mark.parametrize("strategy", ROBUST)
def test_large_arrays_are_combined_block_by_block_without_leaving_out_a_number(strategy) -> None:
    size = (1 << 16) + 3
    rule = rule_for(FederationSection(strategy=strategy, hostile=1))
    for place in range(5):
        rule.add(Contribution(str(place), 1.0, {"w": np.arange(size, dtype=np.float32)}))
    new = rule.finish({"w": np.zeros(size, np.float32)}, {}).model["w"]
    assert np.allclose(new, np.arange(size), rtol=1e-6)
