"""The weighted mean of updates, in the memory of a constant number of models."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from fedcore.errors import QuorumNotMet
from fedcore.params import Array, Params

# 32k elements: both blocks of the multiply-add stay in the second-level cache.
BLOCK = 1 << 15


class WeightedMean:
    """Adds up `weight * update` in float64 and divides once at the end.

    An array that only some updates hold is the mean over those. Floating-point sums depend on their
    order, so callers add in a canonical order (sorted party ids), never in the order of arrival;
    then the result is the same to the bit.
    """

    def __init__(self) -> None:
        """Start empty; the first update with a name decides its dtype and shape."""
        self._sums: dict[str, npt.NDArray[np.float64]] = {}
        self._kinds: dict[str, np.dtype[np.generic]] = {}
        self._totals: dict[str, float] = {}

    def add(self, update: Mapping[str, Array], weight: float, factor: float = 1.0) -> None:
        """Take `factor * update` in; `weight` > 0. The update is not kept."""
        for name, array in update.items():
            if name not in self._sums:
                self._kinds[name], self._totals[name] = array.dtype, 0.0
                self._sums[name] = np.zeros(array.shape, np.float64)
            _multiply_add(self._sums[name], array, weight * factor)
            self._totals[name] += weight

    def result(self) -> Params:
        """The mean, in the updates' own dtypes; integers are rounded to the nearest even.

        The sums are given away with it, array by array, so that both are never in memory whole.
        Raises `QuorumNotMet` when nothing was added: a mean of nothing is no model.
        """
        if not self._sums:
            raise QuorumNotMet("no update was admitted, so there is nothing to combine")
        return {
            name: rounded(self._sums.pop(name) / self._totals[name], self._kinds[name])
            for name in list(self._sums)
        }


def _multiply_add(total: npt.NDArray[np.float64], array: Array, weight: float) -> None:
    """`total += weight * array`, block by block to stay in the cache."""
    into, source = total.reshape(-1), np.ascontiguousarray(array).reshape(-1)
    wide = np.empty(min(len(into), BLOCK), np.float64)
    for start in range(0, len(into), BLOCK):
        part = source[start : start + BLOCK]
        block = wide[: len(part)]
        block[:] = part
        block *= weight
        into[start : start + BLOCK] += block


def rounded(values: Array, kind: np.dtype[np.generic]) -> Array:
    """Values in the dtype `kind`; for integers rounded to the nearest even."""
    if np.issubdtype(kind, np.floating) or values.dtype == kind:
        return values.astype(kind)
    return np.rint(values.astype(np.float64)).astype(kind)
