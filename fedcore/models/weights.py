"""Weights that somebody else trained: a safetensors file, or a state saved by torch.

A file made for another network is refused in one sentence. Nothing is ever unpickled: torch files
are read with `weights_only`.
"""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch

from fedcore.errors import ModelError, problem
from fedcore.params import Params, Schema, is_float

TASK_FILE, FIELD = "the task file", "model.weights"
# Auxiliary heads of torchvision's inception_v3 and googlenet, which are built without them here.
AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")
COUNTER = "num_batches_tracked"
_UNREADABLE = (
    safetensors.SafetensorError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    RuntimeError,
    ValueError,
    EOFError,
    KeyError,
)


@dataclass(frozen=True)
class LoadedWeights:
    """What a file gave: `params`, and the names that it did not give and that stay fresh."""

    params: Params
    left_out: tuple[str, ...]


def read_weights(
    source: bytes | Path,
    expected: Schema,
    *,
    replaceable: Collection[str] = (),
    where: object = "bytes",
) -> LoadedWeights:
    """Read weights for a network of schema `expected` from a file or its bytes.

    Names in `replaceable` (see `state.replaceable_names`) may be missing or of another shape: they
    are left out, and so are missing BatchNorm counters. Floats are cast to the expected dtype.
    `where` names the source of bytes in errors. Raises `ModelError` when the file is unreadable,
    of another network, or holds NaN or infinity.
    """
    place = source if isinstance(source, Path) else where
    found = _plain_names(_tensors(source, place))
    wrong = [
        name for name in sorted(expected.keys() | found.keys()) if _fault(name, expected, found)
    ]
    left_out = tuple(name for name in wrong if name in replaceable or _missing_counter(name, found))
    foreign = [name for name in wrong if name not in left_out]
    if foreign:
        raise ModelError(_another_network(place, foreign, expected, found))
    names = [name for name in expected if name not in left_out]
    params = {name: found[name].astype(expected[name][0], copy=False) for name in names}
    _require_finite(params, place)
    return LoadedWeights(params, left_out)


def _tensors(source: bytes | Path, place: object) -> dict[str, torch.Tensor]:
    """The named tensors of a file, whichever of the two formats it has."""
    try:
        body = source.read_bytes() if isinstance(source, Path) else source
        # A safetensors file starts with its header's length in 8 bytes, then the header's JSON.
        if body[8:9] == b"{":
            content: object = safetensors.torch.load(body)
        else:
            content = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except OSError as fault:
        raise ModelError(
            problem(
                TASK_FILE, FIELD, str(place), f"cannot be read ({fault.strerror}): check the path"
            )
        ) from None
    except _UNREADABLE:
        raise ModelError(_not_weights(place)) from None
    return _state_dict(content, place)


def _state_dict(content: object, place: object) -> dict[str, torch.Tensor]:
    """The state itself, or the one inside a checkpoint that holds more."""
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise ModelError(_not_weights(place))
    if not all(isinstance(tensor, torch.Tensor) for tensor in content.values()):
        raise ModelError(_not_weights(place))
    return {str(name): tensor for name, tensor in content.items()}


def _not_weights(place: object) -> str:
    remedy = "no named tensors to be read safely: save the state_dict as .safetensors"
    return problem(TASK_FILE, FIELD, str(place), remedy)


def _plain_names(tensors: dict[str, torch.Tensor]) -> Params:
    """Arrays under today's names: wrappers, auxiliary heads and old spellings taken away."""
    wrapped = all(name.startswith("module.") for name in tensors)
    plain: Params = {}
    for name, tensor in tensors.items():
        bare = name.removeprefix("module.") if wrapped else name
        # torchvision's published DenseNet files still write norm.1 for norm1.
        bare = re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2.", bare)
        if not bare.startswith(AUXILIARY):
            exact = tensor.float() if tensor.dtype is torch.bfloat16 else tensor
            plain[bare] = exact.detach().contiguous().numpy()
    return plain


def _fault(name: str, expected: Schema, found: Params) -> str:
    """What is wrong with a name, in words; empty when nothing is."""
    if name not in found:
        return "is missing in the file"
    if name not in expected:
        return "is not in the network"
    dtype, shape = expected[name]
    if found[name].shape != tuple(shape):
        return f"has shape {found[name].shape} instead of {tuple(shape)}"
    if is_float(found[name]) != np.issubdtype(np.dtype(dtype), np.floating):
        return f"is {found[name].dtype} instead of {dtype}"
    return ""


def _missing_counter(name: str, found: Params) -> bool:
    return name.endswith(COUNTER) and name not in found


def _another_network(place: object, wrong: list[str], expected: Schema, found: Params) -> str:
    first = wrong[0]
    total = len(expected.keys() | found.keys())
    return problem(
        TASK_FILE,
        FIELD,
        str(place),
        f"these weights belong to another network: {len(wrong)} of {total} names differ, the first "
        f"is {first}, which {_fault(first, expected, found)}; give weights of the network in "
        "model.name",
    )


def _require_finite(params: Params, place: object) -> None:
    for name, array in params.items():
        if is_float(array) and not np.isfinite(array).all():
            raise ModelError(
                problem(
                    TASK_FILE,
                    FIELD,
                    str(place),
                    f"{name} holds NaN or infinity: give sound weights",
                )
            )
