"""The concordance index: known values, a brute-force count, and sums that pool exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcore.metrics import pool_any, read_scores
from fedcore.metrics_survival import SurvivalScores, pool_survival

patients = st.lists(
    st.tuples(st.integers(0, 5).map(float), st.booleans(), st.integers(-3, 3).map(float)),
    max_size=12,
)


def scores(rows, loss=0.0) -> SurvivalScores:
    times, events, risk = (np.array([row[at] for row in rows]) for at in range(3))
    return SurvivalScores.of(risk, times, events.astype(bool), loss, len(rows))


def brute_force(rows) -> list[float]:
    """What each comparable pair counts: 1, a half or 0, by the definition."""
    found = []
    for time, event, risk in rows:
        for other_time, other_event, other_risk in rows:
            earlier = time < other_time or (time == other_time and not other_event)
            if event and earlier:
                found.append(1.0 if risk > other_risk else 0.5 if risk == other_risk else 0.0)
    return found


@given(patients)
def test_the_index_is_the_brute_force_count(rows):
    pairs, found = brute_force(rows), scores(rows)
    assert found.concordant + found.discordant + found.tied == len(pairs)
    if pairs:
        assert found.concordance == pytest.approx(sum(pairs) / len(pairs))
    else:
        assert math.isnan(found.concordance)


@given(st.lists(patients, min_size=1, max_size=4))
def test_pooled_is_the_count_over_every_hospitals_own_pairs(hospitals):
    pairs = [pair for rows in hospitals for pair in brute_force(rows)]
    pooled = pool_survival(scores(rows) for rows in hospitals)
    assert pooled.patients == sum(map(len, hospitals))
    if pairs:
        assert pooled.concordance == pytest.approx(sum(pairs) / len(pairs))


@given(patients)
def test_what_is_said_is_read_back(rows):
    found = scores(rows, 1.5)
    assert read_scores(found.to_json()) == found


def test_known_values():
    rows = [(1.0, True, 3.0), (2.0, True, 2.0), (3.0, True, 1.0), (4.0, False, 0.0)]
    assert scores(rows).concordance == 1.0
    assert scores([(time, event, -risk) for time, event, risk in rows]).concordance == 0.0
    assert scores([(time, event, 0.0) for time, event, _ in rows]).concordance == 0.5
    # by hand: (1, 2), (1, 3) and (2, 3) count, of which (1, 2) is in the wrong order
    assert scores([(1, True, 1.0), (2, True, 2.0), (3, False, 0.5)]).concordance == 2 / 3


@pytest.mark.parametrize("change", [{"tied": -1}, {"events": 9}, {"loss_sum": math.inf}, {"x": 1}])
def test_what_cannot_have_been_said_is_refused(change):
    content = scores([(1.0, True, 1.0), (2.0, False, 0.0)]).to_json() | change
    with pytest.raises(ValueError, match=r"."):
        SurvivalScores.from_json(content)


def test_nobody_pools_to_nothing_and_kinds_do_not_mix():
    assert pool_survival([]) is None
    assert pool_any([]) is None
