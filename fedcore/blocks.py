"""Arrays that are read block by block, whether they lie in memory or are computed meanwhile."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

# Numbers are read in so large parts together, by bytes; one array may be larger.
TOGETHER = 16 << 20


@dataclass(frozen=True)
class Blocks:
    """An array whose numbers are had by `read`, which takes a slice of the flat array.

    Several threads may read at the same time.
    """

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    read: Callable[[slice], npt.NDArray[np.generic]]

    @classmethod
    def of(cls, array: npt.NDArray[np.generic]) -> Blocks:
        """What lies in memory."""
        flat = np.ascontiguousarray(array).reshape(-1)
        return cls(array.dtype, array.shape, flat.__getitem__)

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return math.prod(self.shape)

    def whole(self) -> npt.NDArray[np.generic]:
        """The array, read at once."""
        return self.read(slice(0, self.size)).reshape(self.shape)


@runtime_checkable
class InBlocks(Protocol):
    """Named arrays that need not be computed whole in order to be read."""

    def blocks(self, name: str) -> Blocks:
        """The array of that name; `KeyError` for one that is not there."""


Named = TypeVar("Named", tuple[str, Blocks], tuple[str, Blocks, float])


def in_blocks(
    params: Mapping[str, npt.NDArray[np.generic]], names: Iterable[str] | None = None
) -> Iterator[tuple[str, Blocks]]:
    """Name and array, to be read block by block; all in their order, or the `names`."""
    wanted = params if names is None else names
    if isinstance(
        params, InBlocks
    ):  # asked once, because it takes as long as adding 100,000 numbers
        return ((name, params.blocks(name)) for name in wanted)
    return ((name, Blocks.of(params[name])) for name in wanted)


def some_at_a_time(named: Iterable[Named]) -> Iterator[list[Named]]:
    """What comes as name, array and more, so much of it together that it is worth some threads.

    At most `TOGETHER` bytes or one array of it are held.
    """
    some: list[Named] = []
    size = 0
    for one in named:
        found = one[1].size * one[1].dtype.itemsize
        if some and size + found > TOGETHER:
            yield some
            some, size = [], 0
        some.append(one)
        size += found
    if some:
        yield some
