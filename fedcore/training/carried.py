"""What a party carries at home from one round to the next: steps taken, optimiser's moments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from fedcore.params import Array, Params, digest

STEPS, OPTIMIZER = "steps", "optimizer/"


@dataclass(frozen=True)
class Carried:
    """`steps` were taken in all rounds before; `optimizer` is empty where it starts anew."""

    steps: int = 0
    optimizer: Params = field(default_factory=dict)

    def to_params(self) -> Params:
        """Named arrays, to be kept in a file."""
        moments = {OPTIMIZER + name: array for name, array in self.optimizer.items()}
        return {STEPS: np.array(self.steps, np.int64), **moments}

    @classmethod
    def from_params(cls, arrays: Mapping[str, Array]) -> Carried:
        """The inverse of `to_params`; `KeyError` for anything else."""
        moments = {
            name.removeprefix(OPTIMIZER): array
            for name, array in arrays.items()
            if name.startswith(OPTIMIZER)
        }
        return cls(int(arrays[STEPS]), moments)

    def fingerprint(self) -> str:
        """Equal if and only if both parts are, to the bit."""
        return digest(self.to_params())
