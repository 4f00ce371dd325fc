"""How far updates lie from one another, summed tensor by tensor over files of any size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from fedcore.errors import QuorumNotMet
from fedcore.params import is_float
from fedcore.strategies.robust import Update

# Sums are made block by block, so another size would make other last bits.
BLOCK = 1 << 15
Matrix = npt.NDArray[np.float64]


def squared_distances(updates: Sequence[Update]) -> Matrix:
    """The squared L2 distances (n, n) over all floating values; infinite where float64 ends.

    Raises `QuorumNotMet` unless all updates hold the same arrays.
    """
    count = len(updates)
    total = np.zeros((count, count))
    with np.errstate(over="ignore"):
        for block in _blocks(updates):
            for one in range(count - 1):
                apart = block[one + 1 :] - block[one]
                total[one, one + 1 :] += np.einsum("ij,ij->i", apart, apart)
    return np.asarray(total + total.T)


def products_from(updates: Sequence[Update], origin: int) -> Matrix:
    """The inner products (n, n) of the updates as seen from the one at `origin`.

    Distances between points near the origin keep their digits this way, however far others lie.
    """
    total = np.zeros((len(updates), len(updates)))
    for block in _blocks(updates):
        seen = block - block[origin]
        total += np.einsum("ik,jk->ij", seen, seen)
    return total


def _blocks(updates: Sequence[Update]) -> Iterator[Matrix]:
    """All floating values as blocks (n, size) in float64, in the order of the arrays' names."""
    for name in _common_names(updates):
        arrays = [update[name] for update in updates]
        if not is_float(arrays[0]):
            continue
        flat = [np.ascontiguousarray(array).reshape(-1) for array in arrays]
        for start in range(0, len(flat[0]), BLOCK):
            yield np.stack([one[start : start + BLOCK].astype(np.float64) for one in flat])


def _common_names(updates: Sequence[Update]) -> list[str]:
    names = sorted(updates[0])
    for update in updates:
        if odd := sorted(set(names) ^ set(update)):
            raise QuorumNotMet(
                f"{odd[0]} is not shared by all parties, and whole updates are compared: choose "
                "another federation.strategy, or median or trimmed_mean"
            )
    return names
