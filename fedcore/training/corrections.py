"""What is done to gradients between backward pass and step, beyond plain local training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torch import nn

from fedcore.training.plan import TrainPlan


class Correction(Protocol):
    """Changes the gradients of one batch in place, before the optimiser's step."""

    def pull(self) -> None:
        """Change the gradients that are there."""


def corrections_for(network: nn.Module, plan: TrainPlan) -> Sequence[Correction]:
    """The plan's corrections, in the order in which they act; none for plain local training."""
    return [Proximal(network.parameters(), plan.mu)]


class Proximal:
    """FedProx's term mu / 2 * ||w - w_start||^2 over the trainable parameters (Li et al. 2020).

    Its gradient, mu * (w - w_start), is added where the term itself would have been
    differentiated. With mu = 0 nothing is touched, and the round is FedAvg's to the bit.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], mu: float) -> None:
        self._mu = mu
        self._pairs = [
            (parameter, parameter.detach().clone())
            for parameter in (parameters if mu > 0 else ())
            if parameter.requires_grad
        ]

    @torch.no_grad()
    def pull(self) -> None:
        """Add the term's gradient to the gradients that are there."""
        for parameter, start in self._pairs:
            if parameter.grad is not None:
                parameter.grad.add_(parameter - start, alpha=self._mu)
