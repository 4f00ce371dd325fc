"""The party's optimiser, as the plan names it."""

from __future__ import annotations

import torch
from torch import nn

from fedcore.training.plan import TrainPlan


def make_optimizer(network: nn.Module, plan: TrainPlan) -> torch.optim.Optimizer:
    """A fresh optimiser over the trainable parameters, with torch's fused kernels."""
    parameters = [one for one in network.parameters() if one.requires_grad]
    decay = plan.weight_decay
    if plan.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, plan.lr, momentum=plan.momentum, weight_decay=decay, fused=True
        )
    kind = torch.optim.Adam if plan.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, plan.lr, weight_decay=decay, fused=True)
