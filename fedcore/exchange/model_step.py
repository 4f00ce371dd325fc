"""A model's step: the way from one global model to the next, packed as an update is.

Whoever holds the first model and the step has the second to the bit, because the second is made
of the two and of nothing else: of each number one float32 addition. What a codec does not pack
(BatchNorm's statistics, counters) stands in the step as it is in the second model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from fedcore.exchange import codec, packing
from fedcore.params import Array, Params, Schema, schema


def step_to(model: Params, start: Mapping[str, Array], name: str, seed: int) -> Params:
    """The packed step by the codec `name` from `start` towards `model`, which it then leads to.

    The arrays of `model` are replaced by `start + step`, one after the other, so that no third
    model is in memory. `seed` decides the stochastic rounding. Equal arguments give equal bytes.
    """
    packed = packing.pack(_Way(start, model), name, 1.0, seed)
    step = packing.Unpacked(packed, name, schema(model))
    for one in _moved(model):
        model[one] = _added(start[one], step[one])
    return packed


def after_step(
    start: Mapping[str, Array], step: codec.Tensors, name: str, expected: Schema
) -> Params:
    """The model that `step` leads to from `start`; both models are of the schema `expected`.

    Raises `Refused` for what is no step by the codec `name` of such a model.
    """
    packing.require_packed(step.schema, expected, name)
    moves = packing.Unpacked(codec.Lazy(step), name, expected)
    moved = set(_moved(start))
    return {
        one: _added(start[one], moves[one]) if one in moved else moves[one].copy()
        for one in expected
    }


class _Way(Mapping[str, Array]):
    """`model - start` of what a codec packs, computed when asked for; of the rest the model."""

    def __init__(self, start: Mapping[str, Array], model: Mapping[str, Array]) -> None:
        self._start, self._model = start, model

    def __getitem__(self, name: str) -> Array:
        array = self._model[name]
        if not packing.is_packed(name, array):
            return array
        return np.asarray(np.subtract(array, self._start[name]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._model)

    def __len__(self) -> int:
        return len(self._model)


def _moved(model: Mapping[str, Array]) -> list[str]:
    return [name for name in model if packing.is_packed(name, model[name])]


def _added(start: Array, move: Array) -> Array:
    return np.asarray(np.add(start, move))
