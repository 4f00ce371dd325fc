"""FedNova's half at the coordinator: updates count per step, not by how many steps were taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from fedcore.blocks import Blocks, in_blocks
from fedcore.params import Array, Params, is_learned, scale
from fedcore.strategies.mean import TOTAL, WeightedMean
from fedcore.strategies.rule import Contribution, Step
from fedcore.strategies.step import advance
from fedcore.strategies.summed import Partial, Summed, notes_under, together

# Of a group's sums: before the names of the normalisers' sums, and what all are relative to.
LENGTHS, UNIT = "length/", "unit"


class Normalised(Summed):
    """FedNova (Wang et al. 2020, "Tackling the Objective Inconsistency Problem").

    With weights p_i (summing to 1), updates u_i and normalisers n_i = ||a_i||_1 that the parties
    say: model += lr * (sum p_i n_i) * (sum p_i u_i / n_i). Both are reckoned relative to the first
    party's normaliser, so that with equal ones the round is FedAvg's to the bit. BatchNorm's
    statistics and counters are no sums of gradients and move by their plain mean.
    """

    def __init__(self, lr: float) -> None:
        """Nothing is added yet; `lr` is the coordinator's learning rate."""
        super().__init__()
        self._lr = lr
        self._unit: float | None = None
        self._lengths = WeightedMean()

    def add(self, contribution: Contribution) -> None:
        """See `Rule`."""
        unit = self._unit = self._unit or contribution.normaliser
        length: Array = np.array(contribution.normaliser / unit)
        lengths: Params = {}

        def shortened() -> Iterator[tuple[str, Blocks, float]]:
            for name, blocks in in_blocks(contribution.update):
                if is_learned(name, blocks):
                    lengths[name] = length
                yield name, blocks, unit / contribution.normaliser if name in lengths else 1.0

        self._mean.add_each(shortened(), contribution.weight)
        self._lengths.add(lengths, contribution.weight)

    def partial(self) -> Partial:
        """See `Summing`; the sums are relative to the group's first normaliser."""
        both = together(
            super().partial(), Partial(self._lengths.notes(), self._lengths.give_away()), LENGTHS
        )
        return replace(both, notes={**both.notes, UNIT: self._unit or 1.0})

    def join(self, partial: Partial) -> None:
        """See `Summing`."""
        theirs, lengths = float(partial.notes[UNIT]), notes_under(partial.notes, LENGTHS)
        unit = self._unit = self._unit or theirs
        for name, array in partial.arrays:
            if name.startswith(LENGTHS):
                self._lengths.join(name.removeprefix(LENGTHS), array, lengths, theirs / unit)
            else:
                factor = unit / theirs if TOTAL + name in lengths else 1.0
                self._mean.join(name, array, partial.notes, factor)

    def finish(self, start: Mapping[str, Array], memory: Mapping[str, Array]) -> Step:
        """See `Rule`; nothing is remembered."""
        mean = self._mean.result()
        moves: Params = dict(mean)
        for name, length in self._lengths.result().items():
            moves |= scale({name: mean[name]}, float(length))
        return Step(advance(start, moves, self._lr))
