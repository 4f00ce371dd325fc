"""A network's state as named numpy arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from fedcore.models.catalogue import first_convolutions
from fedcore.models.layers import head_names
from fedcore.params import Array, Params, Schema, require_schema

# What other rooms call a torch module, so that they need not import torch for its name.
Network = nn.Module


def to_params(module: nn.Module) -> Params:
    """Copies of the whole state: floats as they are, BatchNorm's counters as int64."""
    return {name: as_array(tensor) for name, tensor in module.state_dict().items()}


def views(module: nn.Module) -> Params:
    """The whole state as `to_params` has it, without copies: good until the module changes."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()}


def schema_of(module: nn.Module) -> Schema:
    """The schema that the module's parameters have, without copying a number."""
    state = module.state_dict()
    return {name: (_dtype(state[name]), tuple(state[name].shape)) for name in sorted(state)}


def load_params(module: nn.Module, params: Mapping[str, Array]) -> None:
    """Overwrite the whole state in place; `Refused` unless names, dtypes and shapes fit exactly."""
    state = module.state_dict()
    require_schema({name: np.asarray(array) for name, array in params.items()}, schema_of(module))
    with torch.no_grad():
        for name, tensor in state.items():
            _overwrite(tensor, params[name])


def _overwrite(tensor: torch.Tensor, array: Array) -> None:
    """Copy once: a tensor cannot be made over read-only memory, as a fetched model's is."""
    if tensor.is_cpu:
        np.copyto(tensor.numpy(), array)
    else:
        tensor.copy_(as_tensor(array))


def as_array(tensor: torch.Tensor) -> Array:
    """A copy in C order on the processor; a GPU brings what it has into that order itself."""
    found = tensor.detach()
    if found.is_cpu:
        return np.array(found.numpy(), order="C", copy=True)
    there: Array = found.contiguous().cpu().numpy()
    return there


def as_tensor(array: Array) -> torch.Tensor:
    """A tensor over the array's memory, or over a copy where that memory is read-only."""
    plain = np.asarray(array)
    return torch.from_numpy(plain if plain.flags.writeable else plain.copy())


def replaceable_names(module: nn.Module) -> frozenset[str]:
    """The first convolutions' and the head's parameters: what pretrained weights may lack.

    A network has one first convolution, a cross-modal one one in every encoder; one that takes
    rows of a table has none.
    """
    stems = set(first_convolutions(module))
    first = (name for name in module.state_dict() if name.rpartition(".")[0] in stems)
    return frozenset([*first, *head_names(module)])


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
