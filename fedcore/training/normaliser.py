"""How much gradient went into an update: what FedNova and SCAFFOLD divide it by."""

from __future__ import annotations

from collections.abc import Sequence

from fedcore.training.plan import TrainPlan


def normaliser(plan: TrainPlan, rates: Sequence[float]) -> float:
    """||a||_1 of Wang et al. 2020, section 4: with gradients g_k, the update is -lr * sum a_k g_k.

    `rates` are the learning rates of the steps that were taken by sgd. A step counts by its rate
    relative to the task file's `lr`, so plain sgd of n steps at a constant rate gives n. Momentum
    r gives (n - r (1 - r^n) / (1 - r)) / (1 - r), the proximal term (1 - (1 - lr mu)^n) / (lr mu);
    both at once follow from the same recursion, which is how far sgd would go, in units of lr,
    with all gradients 1.
    """
    way = speed = 0.0
    for rate in rates:
        speed = plan.momentum * speed + 1.0 - plan.lr * plan.mu * way
        way += rate / plan.lr * speed
    return way
