"""Cox's partial likelihood against its definition; one logit against cross-entropy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedcore.models.inference import by_class, probabilities_of
from fedcore.training.objectives import OneLogit
from fedcore.training.plan import batch_bounds
from fedcore.training.survival import partial_likelihood

rows = st.lists(
    st.tuples(st.integers(1, 4).map(float), st.booleans(), st.integers(-4, 4).map(float)),
    min_size=1,
    max_size=9,
)


def by_definition(found, ties: str) -> float:
    """The sum over event times, term by term."""
    total = 0.0
    for time in {one[0] for one in found}:
        deaths = [risk for when, event, risk in found if when == time and event]
        there = sum(math.exp(risk) for when, _, risk in found if when >= time)
        tied = sum(map(math.exp, deaths))
        for number, risk in enumerate(deaths):
            used = number / len(deaths) * tied if ties == "efron" else 0.0
            total += math.log(there - used) - risk
    return total


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@given(rows)
def test_the_loss_is_the_negative_log_partial_likelihood(ties, found):
    times, events, risk = (np.array([one[at] for one in found], float) for at in range(3))
    labels = torch.from_numpy(np.stack([times, events], axis=1))
    loss = partial_likelihood(torch.from_numpy(risk), labels, ties)
    assert float(loss) == pytest.approx(by_definition(found, ties), abs=1e-9)


def test_without_ties_both_ways_are_cox_own():
    labels = torch.tensor([[1.0, 1], [2, 0], [3, 1]], dtype=torch.float64)
    risk = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    wanted = math.log(1 + math.e + math.e**2)
    for ties in ("efron", "breslow"):
        assert float(partial_likelihood(risk, labels, ties)) == pytest.approx(wanted)


def test_a_batch_without_events_has_no_loss_and_no_gradient():
    risk = torch.tensor([0.5, 1.0], requires_grad=True)
    loss = partial_likelihood(risk, torch.tensor([[1.0, 0], [2.0, 0]]), "efron")
    loss.backward()
    assert loss.item() == 0
    assert risk.grad.tolist() == [0, 0]


@given(
    st.lists(
        st.tuples(st.integers(-200, 200).map(lambda n: n / 10), st.integers(0, 1)),
        min_size=1,
        max_size=8,
    )
)
def test_one_logit_is_the_cross_entropy_of_two_with_the_first_at_0(found):
    logits = torch.tensor([[logit] for logit, _ in found], dtype=torch.float32)
    labels = torch.tensor([label for _, label in found])
    weights = torch.tensor([0.3, 1.7])
    for one in (None, weights):
        wanted = torch.nn.functional.cross_entropy(by_class(logits), labels, weight=one)
        assert float(OneLogit(one).loss(logits, labels)) == pytest.approx(float(wanted), abs=1e-5)
    right = (torch.from_numpy(probabilities_of(logits)).argmax(1) == labels).sum()
    assert int(OneLogit(None).right(logits, labels)) == int(right)


def test_a_row_left_over_is_a_batch_of_its_own():
    bounds = batch_bounds(9, 4, join_single=False)
    assert [end - start for start, end in bounds] == [4, 4, 1]
    assert list(itertools.pairwise([0, 4, 9])) == batch_bounds(9, 4)
