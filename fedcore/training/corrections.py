"""What is done to gradients between backward pass and step, beyond plain local training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import torch
from torch import nn

from fedcore.models.state import as_tensor
from fedcore.params import Array
from fedcore.training.plan import TrainPlan


class Correction(Protocol):
    """Changes the gradients of one batch in place, before the optimiser's step."""

    def pull(self) -> None:
        """Change the gradients that are there."""


def corrections_for(
    network: nn.Module, plan: TrainPlan, offsets: Mapping[str, Array]
) -> Sequence[Correction]:
    """The plan's corrections, in the order in which they act; none for plain local training."""
    return [Proximal(network.parameters(), plan.mu), Control(network, offsets)]


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


class Control:
    """SCAFFOLD's c - c_i, added to the gradients (Karimireddy et al. 2020, algorithm 1, line 10).

    `offsets` holds c - c_i by parameter name; what it does not name is trained as if alone. With
    no name in it nothing is touched, and the round is FedAvg's to the bit.
    """

    def __init__(self, network: nn.Module, offsets: Mapping[str, Array]) -> None:
        self._pairs = [
            (parameter, _beside(parameter, offsets[name]))
            for name, parameter in network.named_parameters()
            if name in offsets and parameter.requires_grad
        ]

    @torch.no_grad()
    def pull(self) -> None:
        """Add the offsets to the gradients that are there."""
        for parameter, offset in self._pairs:
            if parameter.grad is not None:
                parameter.grad.add_(offset)


@torch.no_grad()
def _beside(parameter: nn.Parameter, array: Array) -> torch.Tensor:
    """The array where its parameter lies, in the same memory layout."""
    return torch.empty_like(parameter).copy_(as_tensor(array))
