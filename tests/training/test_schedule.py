"""The learning rate: bounded, one course over all rounds, and the same as torch's."""

import warnings

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

SCHEDULES = ("constant", "step", "cosine", "onecycle")


def a_plan(schedule, lr=0.1, step_rounds=2, rounds=5):
    return plan_for(
        TaskFile(
            task_type="classification",
            model=ModelSection(),
            federation=FederationSection(lr=lr, epochs=rounds),
            training=TrainingSection(schedule=schedule, step_rounds=step_rounds, step_factor=0.3),
        )
    )


def course(plan, per_round):
    total = plan.rounds * per_round
    return [learning_rate(plan, step, total, per_round) for step in range(total)]


def torchs(schedule, lr, total, per_round, step_rounds):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    made = {
        "constant": lambda: torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0),
        "step": lambda: torch.optim.lr_scheduler.StepLR(optimizer, step_rounds * per_round, 0.3),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total),
        "onecycle": lambda: torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=total),
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
    theirs = torchs(schedule, lr, rounds * per_round, per_round, step_rounds)
    assert ours == pytest.approx(theirs, rel=1e-7, abs=1e-9 * lr)


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
