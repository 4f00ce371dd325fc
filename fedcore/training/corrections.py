"""What is done to gradients between backward pass and step, beyond plain local training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from fedcore.models.state import as_tensor
from fedcore.params import Params
from fedcore.training.plan import TrainPlan


class Correction(Protocol):
    """Changes the gradients of one batch in place, before the optimiser's step."""

    def pull(self) -> None:
        """Change the gradients that are there."""


@dataclass(frozen=True)
class Toward:
    """Ditto's pull: which model a personal one is drawn to, and how strongly (`lam`, 0 or more)."""

    center: Params
    lam: float


def corrections_for(
    network: nn.Module, plan: TrainPlan, toward: Toward | None = None
) -> Sequence[Correction]:
    """The plan's corrections, in the order in which they act; none for plain local training."""
    proximal = Proximal(network.parameters(), plan.mu)
    return [proximal] if toward is None else [proximal, Attraction(network, toward)]


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


class Attraction:
    """Ditto's term lam / 2 * ||v - w||^2 of a personal model v and the global w (Li et al. 2021).

    As `Proximal`, but drawn to a model that is handed in, not to where the training starts.
    """

    def __init__(self, network: nn.Module, toward: Toward) -> None:
        self._lam = toward.lam
        self._pairs = [
            (parameter, torch.empty_like(parameter.detach()).copy_(as_tensor(toward.center[name])))
            for name, parameter in (network.named_parameters() if toward.lam > 0 else ())
            if parameter.requires_grad
        ]

    @torch.no_grad()
    def pull(self) -> None:
        """Add the term's gradient to the gradients that are there."""
        for parameter, center in self._pairs:
            if parameter.grad is not None:
                parameter.grad.add_(parameter - center, alpha=self._lam)
