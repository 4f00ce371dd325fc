"""The learning rate as a pure function of the global step: one course over all rounds.

Nothing is carried from round to round, so a party that was restarted, or that missed rounds, is
at the right place of the course. Values equal those of `torch.optim.lr_scheduler` (StepLR,
MultiStepLR, ExponentialLR, LinearLR, PolynomialLR, CosineAnnealingLR to 0, OneCycleLR with its
default shape), which would have to be carried. `inverse` is the decay of FATE's optimisers.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping

from fedcore.config.training import Schedule
from fedcore.training.plan import TrainPlan

# OneCycleLR's defaults (Smith and Topin 2018): rise over 30 % of the steps from lr / 25, fall to
# a ten-thousandth of where it rose from. The momentum is not cycled.
RISE = 0.3
START_DIVISOR = 25.0
END_DIVISOR = 1e4


def learning_rate(plan: TrainPlan, step: int, total: int, steps_per_round: int) -> float:
    """The learning rate of global step `step`, from 0, out of `total` over the whole training.

    Between 0 and `plan.lr`. A step past the end gets the rate of the last step. A warm-up (Goyal et
    al. 2017) multiplies the course: step 1 of W gets 1 / W of it, step W and all later ones all.
    """
    place, end = min(step, total - 1), total
    if (plan.schedule_unit or _own_unit(plan)) == "round":
        place, end = place // steps_per_round, math.ceil(total / steps_per_round)
    rate = COURSES[plan.schedule](plan, place, end)
    rise = plan.warmup_steps or plan.warmup_rounds * steps_per_round
    return rate * (step + 1) / rise if step < rise else rate


def _own_unit(plan: TrainPlan) -> str:
    return "step" if plan.schedule in ("cosine", "onecycle") else "round"


def _fall(plan: TrainPlan, left: float) -> float:
    """The rate when a share `left` of the way down to `end_factor` is still to go."""
    return plan.lr * (plan.end_factor + (1.0 - plan.end_factor) * left)


def _one_cycle(peak: float, place: int, total: int) -> float:
    start = peak / START_DIVISOR
    top = RISE * total - 1
    if place <= top:
        return _cosine(start, peak, place / top)
    return _cosine(peak, start / END_DIVISOR, (place - top) / (total - 1 - top))


def _cosine(start: float, end: float, share: float) -> float:
    """Half a cosine wave from `start` to `end`."""
    return end + (start - end) / 2.0 * (1.0 + math.cos(math.pi * share))


# The rate at a place, from 0, of so many rounds or steps in all.
COURSES: Mapping[Schedule, Callable[[TrainPlan, int, int], float]] = {
    "constant": lambda plan, _place, _total: plan.lr,
    "step": lambda plan, place, _: plan.lr * plan.step_factor ** float(place // plan.step_rounds),
    "multistep": lambda plan, place, _: (
        plan.lr * plan.step_factor ** float(bisect_right(plan.milestones, place))
    ),
    "exponential": lambda plan, place, _: plan.lr * plan.gamma ** float(place),
    "inverse": lambda plan, place, _: plan.lr / (1.0 + plan.decay * place) ** plan.power,
    "linear": lambda plan, place, total: _fall(plan, 1.0 - place / total),
    "polynomial": lambda plan, place, total: _fall(plan, (1.0 - place / total) ** plan.power),
    "cosine": lambda plan, place, total: _cosine(plan.lr, 0.0, place / total),
    "onecycle": lambda plan, place, total: _one_cycle(plan.lr, place, total),
}
