"""FedAvg's half at the coordinator: the weighted mean of the updates, added to the global model."""

from __future__ import annotations

from collections.abc import Mapping

from fedcore.params import Array
from fedcore.strategies.rule import Step
from fedcore.strategies.step import advance
from fedcore.strategies.summed import Summed


class Averaging(Summed):
    """FedAvg (McMahan et al. 2017), and whatever differs from it at the parties alone."""

    def __init__(self, lr: float = 1.0) -> None:
        """Nothing is added yet; `lr` is the coordinator's learning rate."""
        super().__init__()
        self._lr = lr

    def finish(self, start: Mapping[str, Array], memory: Mapping[str, Array]) -> Step:
        """See `Rule`; nothing is remembered."""
        return Step(advance(start, self._mean.result(), self._lr))
