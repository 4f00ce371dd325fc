"""FedAvgM's half at the coordinator: mean updates add up to a velocity."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fedcore.params import Array, Params, learned, part, prefixed
from fedcore.strategies.rule import Step
from fedcore.strategies.step import advance
from fedcore.strategies.summed import Summed

VELOCITY = "velocity/"


class Momentum(Summed):
    """FedAvgM (Hsu et al. 2019, "Measuring the Effects of Non-Identical Data Distribution").

    velocity = momentum * velocity + mean; model += lr * velocity. Without momentum nothing is
    remembered and the round is FedAvg's to the bit. Only what gradients move has a velocity;
    BatchNorm's statistics and counters move by their mean.
    """

    def __init__(self, lr: float, momentum: float) -> None:
        """Nothing is added yet; `momentum` in [0, 1)."""
        super().__init__()
        self._lr, self._momentum = lr, momentum

    def finish(self, start: Mapping[str, Array], memory: Mapping[str, Array]) -> Step:
        """See `Rule`; the velocity is remembered in the dtype of the updates."""
        mean = self._mean.result()
        if self._momentum == 0.0:
            return Step(advance(start, mean, self._lr))
        before = part(memory, VELOCITY)
        velocity = before | {
            name: self._faster(array, before.get(name)) for name, array in learned(mean).items()
        }
        moves: Params = {name: velocity.get(name, mean[name]) for name in mean}
        return Step(advance(start, moves, self._lr), prefixed(VELOCITY, velocity))

    def _faster(self, mean: Array, before: Array | None) -> Array:
        if before is None:
            return mean
        speed = self._momentum * before.astype(np.float64) + mean.astype(np.float64)
        return np.asarray(speed, dtype=mean.dtype)
