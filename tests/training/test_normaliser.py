"""How much gradient an update holds: against the closed forms, and against sgd itself."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedcore.training.normaliser import normaliser
from fedcore.training.plan import plan_for


@pytest.fixture
def plan(make_task):
    """A plan of sgd with this momentum and proximal weight."""

    def make(momentum=0.0, mu=0.0, lr=0.1):
        task = make_task(strategy="fedprox", mu=mu, lr=lr, momentum=momentum, optimizer="sgd")
        return plan_for(task)

    return make


def test_plain_sgd_counts_its_steps(plan) -> None:
    assert normaliser(plan(), [0.1] * 7) == 7.0
    assert normaliser(plan(), [0.1]) == 1.0


def test_a_step_at_half_the_rate_counts_half(plan) -> None:
    assert normaliser(plan(), [0.1, 0.05, 0.1]) == pytest.approx(2.5)


@pytest.mark.parametrize("rho", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_momentum_counts_as_in_the_paper(plan, rho, steps) -> None:
    expected = (steps - rho * (1 - rho**steps) / (1 - rho)) / (1 - rho)
    assert normaliser(plan(momentum=rho), [0.1] * steps) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("mu", [0.01, 1.0, 5.0])
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_the_proximal_term_counts_as_in_the_paper(plan, mu, steps) -> None:
    alpha = 0.1 * mu
    expected = (1 - (1 - alpha) ** steps) / alpha
    assert normaliser(plan(mu=mu), [0.1] * steps) == pytest.approx(expected, rel=1e-9)


@given(
    st.floats(0, 0.95),
    st.floats(0, 2),
    st.lists(st.floats(0.01, 0.1), min_size=1, max_size=6),
)
def test_it_is_how_far_torchs_sgd_goes_when_every_gradient_is_one(momentum, mu, rates) -> None:
    weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=momentum)
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        weight.grad = torch.ones_like(weight) + mu * weight.detach()
        optimizer.step()
    way = -weight.item() / 0.1
    assert math.isclose(_of(momentum, mu, rates), way, rel_tol=1e-9)


def _of(momentum, mu, rates):
    class Plan:
        lr = 0.1

    Plan.momentum, Plan.mu = momentum, mu
    return normaliser(Plan, rates)
