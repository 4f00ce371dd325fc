"""The learning rate as a pure function of the global step: one course over all rounds.

Nothing is carried from round to round, so a party that was restarted, or that missed rounds, is
at the right place of the course. Values equal those of `torch.optim.lr_scheduler` (StepLR,
CosineAnnealingLR to 0, OneCycleLR with its default shape), which would have to be carried.
"""

from __future__ import annotations

import math

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
    rate = _course(plan, min(step, total - 1), total, steps_per_round)
    rise = plan.warmup_steps or plan.warmup_rounds * steps_per_round
    return rate * (step + 1) / rise if step < rise else rate


def _course(plan: TrainPlan, place: int, total: int, steps_per_round: int) -> float:
    if plan.schedule == "step":
        return plan.lr * plan.step_factor ** (place // (plan.step_rounds * steps_per_round))
    if plan.schedule == "cosine":
        return _cosine(plan.lr, 0.0, place / total)
    if plan.schedule == "onecycle":
        return _one_cycle(plan.lr, place, total)
    return plan.lr


def _one_cycle(peak: float, place: int, total: int) -> float:
    start = peak / START_DIVISOR
    top = RISE * total - 1
    if place <= top:
        return _cosine(start, peak, place / top)
    return _cosine(peak, start / END_DIVISOR, (place - top) / (total - 1 - top))


def _cosine(start: float, end: float, share: float) -> float:
    """Half a cosine wave from `start` to `end`."""
    return end + (start - end) / 2.0 * (1.0 + math.cos(math.pi * share))
