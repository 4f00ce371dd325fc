"""The party's optimiser, as the plan names it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from fedcore.models.layers import head_names
from fedcore.training.plan import TrainPlan

FACTOR = "factor"


def make_optimizer(network: nn.Module, plan: TrainPlan) -> torch.optim.Optimizer:
    """A fresh optimiser over all parameters, with torch's fused kernels where all devices have one.

    Frozen ones are among them, so that a kept state fits whatever is frozen: without a gradient
    they are passed over, weight decay included.
    """
    groups = _groups(network, plan)
    common: dict[str, Any] = {"lr": plan.lr, "weight_decay": plan.weight_decay}
    if plan.optimizer == "sgd":
        own: dict[str, Any] = {
            "dampening": plan.dampening,
            "nesterov": plan.nesterov,
            "fused": True,
        }
        return torch.optim.SGD(groups, momentum=plan.momentum, **common, **own)
    common["eps"] = plan.eps
    if plan.optimizer == "rmsprop":
        own = {"momentum": plan.momentum, "centered": plan.centered}
        return torch.optim.RMSprop(groups, alpha=plan.alpha, **common, **own)
    if plan.optimizer == "adagrad":
        start = plan.initial_accumulator_value
        return torch.optim.Adagrad(
            groups, lr_decay=plan.lr_decay, initial_accumulator_value=start, **common
        )
    kind = torch.optim.Adam if plan.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, betas=plan.betas, amsgrad=plan.amsgrad, fused=True, **common)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Let the next step be taken at `rate`, each group's factor beside it."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group[FACTOR]


def _groups(network: nn.Module, plan: TrainPlan) -> list[dict[str, Any]]:
    """One group, or several where parameters learn at rates of their own or decay or do not."""
    named = dict(network.named_parameters())
    head = head_names(network) if plan.backbone_lr != 1.0 else frozenset()
    parts = (
        ([one for name, one in named.items() if name not in head], plan.backbone_lr),
        ([one for name, one in named.items() if name in head], 1.0),
    )
    return [
        {"params": chosen, FACTOR: factor, "weight_decay": plan.weight_decay if decays else 0.0}
        for params, factor in parts
        for decays in (True, False)
        if (chosen := [one for one in params if plan.penalises(one.dim()) == decays])
    ]
