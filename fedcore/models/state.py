"""A network's state as named numpy arrays, and back; and which part of it is shared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import nn

from fedcore.models.catalogue import first_convolution
from fedcore.params import Array, Params, require_schema

# What other rooms call a torch module, so that they need not import torch for its name.
Network = nn.Module
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def to_params(module: nn.Module) -> Params:
    """Copies of the whole state: floats as they are, BatchNorm's counters as int64."""
    return {
        name: np.array(tensor.detach().cpu().numpy(), order="C", copy=True)
        for name, tensor in module.state_dict().items()
    }


def load_params(module: nn.Module, params: Mapping[str, Array]) -> None:
    """Overwrite the whole state in place; `Refused` unless names, dtypes and shapes fit exactly."""
    state = module.state_dict()
    require_schema(
        {name: np.asarray(array) for name, array in params.items()},
        {name: (_dtype(tensor), tuple(tensor.shape)) for name, tensor in state.items()},
    )
    with torch.no_grad():
        for name, tensor in state.items():
            tensor.copy_(as_tensor(params[name]))


def as_tensor(array: Array) -> torch.Tensor:
    """A tensor over the array's memory, or over a copy where that memory is read-only."""
    plain = np.asarray(array)
    return torch.from_numpy(plain if plain.flags.writeable else plain.copy())


def shared_names(module: nn.Module, batch_norm: Literal["average", "local"]) -> tuple[str, ...]:
    """The names that travel, in the order of the state; `local` keeps BatchNorm's buffers home.

    Keeping only the running statistics, not the affine weights, at each party is the smaller half
    of FedBN (Li et al. 2021).
    """
    at_home = set(_batch_norm_buffers(module)) if batch_norm == "local" else set()
    return tuple(name for name in module.state_dict() if name not in at_home)


def replaceable_names(module: nn.Module) -> frozenset[str]:
    """The first convolution's and the classifier's parameters: what pretrained weights may lack."""
    layers = [
        name for name, one in module.named_modules() if isinstance(one, nn.Linear | nn.Conv2d)
    ]
    convolves = any(isinstance(one, nn.Conv2d) for one in module.modules())
    stem = first_convolution(module)[0] if convolves else layers[-1]
    return frozenset(
        name for name in module.state_dict() if name.rpartition(".")[0] in (stem, layers[-1])
    )


def _batch_norm_buffers(module: nn.Module) -> list[str]:
    return [
        f"{name}.{buffer}" if name else buffer
        for name, one in module.named_modules()
        if isinstance(one, BATCH_NORMS)
        for buffer, _ in one.named_buffers(recurse=False)
    ]


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
