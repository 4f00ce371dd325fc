"""The weighted mean of updates, in the memory of a constant number of models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fedcore.blocks import Blocks, in_blocks, some_at_a_time
from fedcore.crew import Crew, Floats
from fedcore.errors import QuorumNotMet, Refused
from fedcore.params import Array, Params

# Before a name: its total weight, its dtype.
TOTAL, KIND = "total/", "kind/"


class WeightedMean:
    """Adds up `weight * update` in float64 and divides once at the end.

    An array that only some updates hold is the mean over those. Floating-point sums depend on their
    order, so callers add in a canonical order (sorted party ids), never in the order of arrival;
    then the result is the same to the bit. How many threads add changes no bit: each number is
    added by one of them.
    """

    def __init__(self, crew: Callable[[], Crew] = Crew) -> None:
        """Start empty; the first update with a name decides its dtype and shape."""
        self._crew = crew()
        self._sums: dict[str, npt.NDArray[np.float64]] = {}
        self._kinds: dict[str, np.dtype[np.generic]] = {}
        self._totals: dict[str, float] = {}

    def add(self, update: Mapping[str, Array], weight: float, factor: float = 1.0) -> None:
        """Take `factor * update` in; `weight` > 0. The update is not kept."""
        self.add_each(((*one, factor) for one in in_blocks(update)), weight)

    def add_each(self, arrays: Iterable[tuple[str, Blocks, float]], weight: float) -> None:
        """As `add`, of arrays that come with their names and a factor of their own."""
        for some in some_at_a_time(arrays):
            self._add_some(some, weight)

    def _add_some(self, arrays: list[tuple[str, Blocks, float]], weight: float) -> None:
        for name, array, _ in arrays:
            if name not in self._sums:
                self._kinds[name], self._totals[name] = array.dtype, 0.0
                self._sums[name] = np.zeros(array.shape, np.float64)
        self._multiply_add([(name, array, weight * factor) for name, array, factor in arrays])
        for name, _, _ in arrays:
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
        self._multiply_add([(name, Blocks.of(sums), factor)])
        self._totals[name] += float(notes[TOTAL + name])

    def result(self) -> Params:
        """The mean, in the updates' own dtypes; integers are rounded to the nearest even.

        The sums are given away with it, array by array, so that both are never in memory whole.
        Raises `QuorumNotMet` when nothing was added: a mean of nothing is no model.
        """
        if not self._sums:
            raise QuorumNotMet("no update was admitted, so there is nothing to combine")
        return {name: self._mean_of(name) for name in list(self._sums)}

    def _mean_of(self, name: str) -> Array:
        sums, total, kind = self._sums.pop(name), self._totals[name], self._kinds[name]
        mean = np.empty(sums.shape, kind)
        source, into = sums.reshape(-1), mean.reshape(-1)

        def divide(_: int, part: slice, room: Floats) -> None:
            np.divide(source[part], total, out=room)
            into[part] = rounded(room, kind)

        self._crew.each_block([sums.size], divide)
        return mean

    def _multiply_add(self, arrays: Sequence[tuple[str, Blocks, float]]) -> None:
        """`sums += factor * array` of each, block by block."""
        sums = [self._sums[name].reshape(-1) for name, _, _ in arrays]

        def add(place: int, part: slice, room: Floats) -> None:
            _, source, factor = arrays[place]
            room[:] = source.read(part)
            room *= factor
            sums[place][part] += room

        self._crew.each_block([len(one) for one in sums], add)


def rounded(values: Array, kind: np.dtype[np.generic]) -> Array:
    """Values in the dtype `kind`; for integers rounded to the nearest even."""
    if np.issubdtype(kind, np.floating) or values.dtype == kind:
        return values.astype(kind)
    return np.rint(values.astype(np.float64)).astype(kind)
