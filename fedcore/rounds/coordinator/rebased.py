"""A late update as seen from the present global model, not from the one it was trained from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from fedcore.params import MEASURED, Array

VARIANCE = ".running_var"


class Rebased(Mapping[str, Array]):
    """`base + update - start`, the way from `start` to the party's own model, for some names.

    For the others the update itself. Arrays are computed when asked for, so nothing is kept.
    """

    def __init__(
        self,
        update: Mapping[str, Array],
        base: Mapping[str, Array],
        start: Mapping[str, Array],
        concerns: Callable[[str], bool],
    ) -> None:
        """`update` was trained from `base`; `start` is the present global model."""
        self._update, self._base, self._start = update, base, start
        self._concerns = concerns

    def __getitem__(self, name: str) -> Array:
        """The array, computed anew; `KeyError` for a name that is not in the update."""
        if not self._concerns(name):
            return self._update[name]
        own = np.add(self._base[name], self._update[name])
        return np.asarray(np.subtract(own, self._start[name]))

    def __iter__(self) -> Iterator[str]:
        """The update's names."""
        return iter(self._update)

    def __len__(self) -> int:
        """How many arrays there are."""
        return len(self._update)


def is_measured(name: str) -> bool:
    """Whether an array is a running statistic: a party's own value counts, not its change."""
    return name.rpartition(".")[2] in MEASURED


def negative_variance(start: Mapping[str, Array], update: Mapping[str, Array]) -> str | None:
    """The name of a running variance that the update takes below zero, if any."""
    names = (name for name in update if name.endswith(VARIANCE) and name in start)
    return next((name for name in names if _below_zero(start[name], update[name])), None)


def _below_zero(start: Array, update: Array) -> bool:
    return bool((np.add(start, update).astype(np.float64) < 0).any())
