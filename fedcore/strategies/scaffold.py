"""SCAFFOLD's half at the coordinator: the common control variate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from fedcore.params import CONTROL, Array, Params, part, prefixed, scale
from fedcore.strategies.rule import Contribution, Step
from fedcore.strategies.step import advance
from fedcore.strategies.summed import Partial, Summed

EVERYONE, TAKING_PART = "everyone", "taking_part"


class Scaffold(Summed):
    """SCAFFOLD (Karimireddy et al. 2020, "Stochastic Controlled Averaging"), algorithm 1.

    model += lr * mean of the updates; c += |S| / N * mean of the controls' changes, over the |S|
    parties that are in the round, out of all N members. The paper weighs all parties the same;
    where the task file weighs them otherwise, |S| / N is their share of all members' weight, so
    that c stays the weighted mean of the parties' controls. Otherwise the parties' corrections
    would not cancel out and the model would drift.

    c is remembered as `control/NAME`, and `everyone` is the weight that it is relative to.
    """

    def __init__(self, lr: float) -> None:
        """Nothing is added yet; `lr` is the coordinator's learning rate."""
        super().__init__()
        self._lr = lr
        self._taking_part, self._everyone = 0.0, 1.0

    def add(self, contribution: Contribution) -> None:
        """See `Rule`; the update holds the change of the party's control as `control/NAME`."""
        super().add(contribution)
        self._taking_part += contribution.weight
        self._everyone = contribution.everyone

    def partial(self) -> Partial:
        """See `Summing`."""
        own = {TAKING_PART: self._taking_part, EVERYONE: self._everyone}
        sums = super().partial()
        return replace(sums, notes={**sums.notes, **own})

    def join(self, partial: Partial) -> None:
        """See `Summing`."""
        super().join(partial)
        self._taking_part += float(partial.notes[TAKING_PART])
        self._everyone = float(partial.notes[EVERYONE])

    def finish(self, start: Mapping[str, Array], memory: Mapping[str, Array]) -> Step:
        """See `Rule`."""
        mean = self._mean.result()
        changes, everyone = part(mean, CONTROL), np.array(self._everyone, np.float64)
        moves = {name: mean[name] for name in mean if not name.startswith(CONTROL)}
        controls = self._changed(
            part(memory, CONTROL), float(memory.get(EVERYONE, everyone)), changes
        )
        remembered: Params = {**prefixed(CONTROL, controls), EVERYONE: everyone}
        return Step(advance(start, moves, self._lr), remembered)

    def _changed(self, before: Params, everyone: float, changes: Params) -> Params:
        """The common control after the round; a late member makes the others' part of it less."""
        kept, share = everyone / self._everyone, self._taking_part / self._everyone
        controls = scale(before, kept)
        for name, change in changes.items():
            total = share * change.astype(np.float64)
            if name in before:
                total += kept * before[name].astype(np.float64)
            controls[name] = np.asarray(total, dtype=change.dtype)
        return controls
