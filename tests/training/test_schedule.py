"""The learning rate: bounded, one course over all rounds, and the same as torch's."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedcore.config.federation import FederationSection
from fedcore.config.model import ModelSection
from fedcore.config.task import TaskFile
from fedcore.config.training import TrainingSection
from fedcore.training.plan import plan_for
from fedcore.training.schedule import learning_rate

OWN = {
    "constant": {},
    "step": {"step_factor": 0.3},
    "multistep": {"step_factor": 0.3, "milestones": [1, 4]},
    "exponential": {"gamma": 0.9},
    "inverse": {"decay": 0.2, "power": 0.5},
    "linear": {"end_factor": 0.1},
    "polynomial": {"power": 2.0},
    "cosine": {},
    "onecycle": {},
}
SCHEDULES = tuple(OWN)
# What counts rounds by itself, and what counts steps.
BY_ROUND = ("step", "multistep", "exponential", "inverse", "linear", "polynomial")
torchs_own = torch.optim.lr_scheduler


def a_plan(schedule, lr=0.1, step_rounds=2, rounds=5, **fields):
    written = {**OWN[schedule], "step_rounds": step_rounds, **fields}
    return plan_for(
        TaskFile(
            task_type="classification",
            model=ModelSection(),
            federation=FederationSection(lr=lr, epochs=rounds),
            training=TrainingSection(schedule=schedule, **written),
        )
    )


def course(plan, per_round):
    total = plan.rounds * per_round
    return [learning_rate(plan, step, total, per_round) for step in range(total)]


def torchs(schedule, lr, total, step_rounds):
    """Torch's own course over `total` of its steps."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    made = {
        "constant": lambda: torchs_own.ConstantLR(optimizer, factor=1.0),
        "step": lambda: torchs_own.StepLR(optimizer, step_rounds, 0.3),
        "multistep": lambda: torchs_own.MultiStepLR(optimizer, [1, 4], 0.3),
        "exponential": lambda: torchs_own.ExponentialLR(optimizer, 0.9),
        "inverse": lambda: torchs_own.LambdaLR(optimizer, lambda t: 1 / math.sqrt(1 + 0.2 * t)),
        "linear": lambda: torchs_own.LinearLR(optimizer, 1.0, 0.1, total_iters=total),
        "polynomial": lambda: torchs_own.PolynomialLR(optimizer, total, power=2.0),
        "cosine": lambda: torchs_own.CosineAnnealingLR(optimizer, total),
        "onecycle": lambda: torchs_own.OneCycleLR(optimizer, lr, total_steps=total),
    }[schedule]()
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in range(total):
            rates.append(optimizer.param_groups[0]["lr"])
            if step < total - 1:
                made.step()
    return rates


@pytest.mark.parametrize("schedule", SCHEDULES)
@given(
    lr=st.floats(1e-5, 10),
    rounds=st.integers(1, 8),
    per_round=st.integers(1, 6),
    step_rounds=st.integers(1, 4),
)
def test_one_course_over_all_rounds_equals_torchs(schedule, lr, rounds, per_round, step_rounds):
    ours = course(a_plan(schedule, lr, step_rounds, rounds), per_round)
    theirs = torchs(schedule, lr, rounds * per_round, step_rounds)
    if schedule in BY_ROUND:
        theirs = np.repeat(torchs(schedule, lr, rounds, step_rounds), per_round).tolist()
    assert ours == pytest.approx(theirs, rel=1e-7, abs=1e-9 * lr)


@pytest.mark.parametrize("schedule", ["exponential", "inverse", "linear", "polynomial", "cosine"])
def test_a_schedule_counts_rounds_or_steps_as_the_task_file_says(schedule):
    by_step = course(a_plan(schedule, rounds=4, schedule_unit="step"), 3)
    assert by_step == pytest.approx(torchs(schedule, 0.1, 12, 2), rel=1e-12)
    by_round = course(a_plan(schedule, rounds=4, schedule_unit="round"), 3)
    assert by_round == pytest.approx(np.repeat(torchs(schedule, 0.1, 4, 2), 3), rel=1e-12)


def test_the_schedules_have_their_values_by_their_formula():
    t, rounds = np.arange(4), 4
    wanted = {
        "exponential": 0.8 * 0.9**t,
        "inverse": 0.8 / (1 + 0.2 * t) ** 0.5,
        "linear": 0.8 * (1 - (1 - 0.1) * t / rounds),
        "polynomial": 0.8 * (1 - t / rounds) ** 2,
        "multistep": [0.8, 0.8 * 0.3, 0.8 * 0.3, 0.8 * 0.3],
    }
    for schedule, rates in wanted.items():
        ours = course(a_plan(schedule, lr=0.8, rounds=rounds), 1)
        assert ours == pytest.approx(rates, rel=1e-12), schedule
    fate = course(a_plan("inverse", lr=0.8, rounds=rounds, decay=1.0, power=1.0), 1)
    assert fate == [0.8, 0.8 / 2, 0.8 / 3, 0.8 / 4]


@given(
    schedule=st.sampled_from(SCHEDULES),
    lr=st.floats(1e-8, 100),
    step=st.integers(0, 5000),
    total=st.integers(1, 3000),
    per_round=st.integers(1, 100),
)
def test_the_rate_stays_between_nothing_and_the_one_in_the_task_file(
    schedule, lr, step, total, per_round
):
    rate = learning_rate(a_plan(schedule, lr), step, total, per_round)
    assert 0 <= rate <= lr * (1 + 1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_step_past_the_end_has_the_last_rate(schedule):
    plan = a_plan(schedule)
    assert learning_rate(plan, 99, 20, 4) == learning_rate(plan, 19, 20, 4)


def test_schedule_step_changes_between_rounds_only():
    rates = course(a_plan("step", lr=1.0, step_rounds=2, rounds=5), 3)
    assert rates == pytest.approx([1.0] * 6 + [0.3] * 6 + [0.09] * 3)
