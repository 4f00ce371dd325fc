"""Everything that the next step depends on, as named arrays, and back: bit for bit.

Network, optimiser, running sums and torch's random states. The learning rate and the order of the
images follow from the step's number and are not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from fedcore.models.state import as_array, as_tensor, load_params, to_params
from fedcore.params import Array, Params

NETWORK, OPTIMIZER, SUMS, RANDOM = "network/", "optimizer/", "sums/", "random/"


def capture(
    network: nn.Module, optimizer: torch.optim.Optimizer, sums: Mapping[str, torch.Tensor]
) -> Params:
    """The state between two steps, on the processor; `sums` are tensors of the running metrics."""
    return {
        **_named(NETWORK, to_params(network)),
        **_named(OPTIMIZER, optimizer_arrays(optimizer)),
        **_named(SUMS, {name: as_array(one) for name, one in sums.items()}),
        **_named(RANDOM, {name: as_array(read()) for name, (read, _) in _generators(network)}),
    }


def restore(
    moment: Mapping[str, Array],
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    sums: Mapping[str, torch.Tensor],
) -> None:
    """Put a captured state back, in place; `Refused` or `KeyError` where it does not fit."""
    load_params(network, _part(moment, NETWORK))
    load_optimizer(optimizer, _part(moment, OPTIMIZER))
    for name, array in _part(moment, SUMS).items():
        sums[name].copy_(as_tensor(array))
    for name, (_, write) in _generators(network):
        write(as_tensor(_part(moment, RANDOM)[name]))


def optimizer_arrays(optimizer: torch.optim.Optimizer) -> Params:
    """The optimiser's moments on the processor, under the number of their parameter."""
    return {
        f"{number}/{name}": as_array(value)
        for number, fields in optimizer.state_dict()["state"].items()
        for name, value in fields.items()
        if isinstance(value, torch.Tensor)
    }


def load_optimizer(optimizer: torch.optim.Optimizer, arrays: Mapping[str, Array]) -> None:
    """Put captured moments back, in place; its settings stay as they are."""
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, array in arrays.items():
        number, name = key.split("/")
        state.setdefault(int(number), {})[name] = _laid_out(parameters[int(number)], array)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _laid_out(parameter: torch.Tensor, array: Array) -> torch.Tensor:
    """In the memory layout of its parameter, as the fused kernels walk both side by side.

    A count of steps is the optimiser's to place. It is a copy: the optimiser counts on in place.
    """
    found = as_tensor(array)
    if found.shape != parameter.shape:
        return found.clone()
    with torch.no_grad():
        return torch.empty_like(parameter).copy_(found)


Generator = tuple[str, tuple[Callable[[], torch.Tensor], Callable[[torch.Tensor], None]]]


def _generators(network: nn.Module) -> list[Generator]:
    """How to read and write torch's random states: the processor's and, where used, the GPU's."""
    known: list[Generator] = [("cpu", (torch.get_rng_state, torch.set_rng_state))]
    if next(network.parameters()).is_cuda:
        known.append(("cuda", (torch.cuda.get_rng_state, torch.cuda.set_rng_state)))
    return known


def _named(prefix: str, arrays: Mapping[str, Array]) -> Params:
    return {prefix + name: array for name, array in arrays.items()}


def _part(moment: Mapping[str, Array], prefix: str) -> Params:
    return {
        name.removeprefix(prefix): array
        for name, array in moment.items()
        if name.startswith(prefix)
    }
