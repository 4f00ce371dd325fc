"""What is done to gradients between backward pass and step, beyond plain local training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from fedcore.models.state import as_tensor
from fedcore.params import Array, Params
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
    network: nn.Module, plan: TrainPlan, offsets: Mapping[str, Array], toward: Toward | None = None
) -> Sequence[Correction]:
    """The plan's corrections, in the order in which they act; none for plain local training.

    Clipping comes last: it bounds what the optimiser is given, whatever was added before.
    """
    trained = [one for one in network.parameters() if one.requires_grad]
    penalised = [one for one in trained if plan.penalises(one.dim())]
    return [
        Proximal(trained, plan.mu),
        Control(network, offsets),
        *([] if toward is None else [Attraction(network, toward)]),
        *([Regularisation(penalised, plan.l1, plan.l2)] if plan.l1 or plan.l2 else []),
        *([] if plan.max_grad_norm is None else [Clipping(trained, plan.max_grad_norm)]),
    ]


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


class Regularisation:
    """The term l1 * sum |w| + l2 * sum w^2 over the parameters, as its gradient.

    Where w is 0, the first sum's gradient is taken as 0. With sgd and no clipping, l2 is a
    `weight_decay` of 2 * l2; the optimiser adds that one after clipping, and adamw outside of its
    moments.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], l1: float, l2: float) -> None:
        self._parameters, self._l1, self._l2 = list(parameters), l1, l2

    @torch.no_grad()
    def pull(self) -> None:
        """Add the term's gradient to the gradients that are there."""
        for parameter in self._parameters:
            if parameter.grad is None:
                continue
            if self._l1:
                parameter.grad.add_(parameter.sign(), alpha=self._l1)
            if self._l2:
                parameter.grad.add_(parameter, alpha=2.0 * self._l2)


class Clipping:
    """The whole gradient scaled down to an L2 norm when it is larger (Pascanu et al. 2013)."""

    def __init__(self, parameters: Iterable[nn.Parameter], max_norm: float) -> None:
        self._parameters, self._max_norm = list(parameters), max_norm

    def pull(self) -> None:
        """Scale the gradients that are there."""
        nn.utils.clip_grad_norm_(self._parameters, self._max_norm)


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
