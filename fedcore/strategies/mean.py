"""The weighted mean of updates, in the memory of a constant number of models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from fedcore.errors import QuorumNotMet, Refused
from fedcore.params import Array, Params

# 32k elements: both blocks of the multiply-add stay in the second-level cache.
BLOCK = 1 << 15
# Before a name: its total weight, its dtype.
TOTAL, KIND = "total/", "kind/"


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

    def notes(self) -> dict[str, float | str]:
        """The total weight and the dtype of each array, by name; for `join`."""
        totals = {TOTAL + name: total for name, total in self._totals.items()}
        return {**totals, **{KIND + name: kind.name for name, kind in self._kinds.items()}}

    def give_away(self) -> Iterator[tuple[str, Array]]:
        """Name and sum, names sorted, for `join`; what is given is kept no longer."""
        return ((name, self._sums.pop(name)) for name in sorted(self._sums))

    def join(
        self, name: str, sums: Array, notes: Mapping[str, float | str], factor: float = 1.0
    ) -> None:
        """Take in `factor` times what another mean has added up under `name`.

        Raises `Refused` where its shape is another than the one that is here.
        """
        if name not in self._sums:
            self._kinds[name], self._totals[name] = np.dtype(str(notes[KIND + name])), 0.0
            self._sums[name] = np.zeros(sums.shape, np.float64)
        if sums.shape != self._sums[name].shape:
            raise Refused("shape", f"{name}: {sums.shape} against {self._sums[name].shape}")
        _multiply_add(self._sums[name], sums, factor)
        self._totals[name] += float(notes[TOTAL + name])

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
