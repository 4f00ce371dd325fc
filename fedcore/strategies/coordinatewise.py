"""Median and trimmed mean, each number of the model by itself.

With f hostile of n > 2 f parties every number of the result lies between the smallest and the
largest honest one, so what is non-negative at every honest party (a running variance) stays so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fedcore.crew import Crew, Floats
from fedcore.params import Array, Params, is_float
from fedcore.strategies.mean import rounded
from fedcore.strategies.robust import Update

# 32k numbers of each update are sorted together.
BLOCK = 1 << 15


def median(updates: Sequence[Update]) -> Params:
    """The coordinate-wise median (Yin et al. 2018, "Byzantine-Robust Distributed Learning").

    Of an odd number of updates every number is one of the inputs. Of an even number it is the
    mean of the two in the middle, for integers rounded to the nearest even.
    """
    return {name: _by_block(_held(updates, name), _middle) for name in names_of(updates)}


def trimmed_mean(updates: Sequence[Update], hostile: int) -> Params:
    """The mean without the `hostile` smallest and largest of each number (Yin et al. 2018).

    With `hostile` 0 it is the plain mean; integers are rounded to the nearest even.
    """

    def trimmed(block: Array) -> Array:
        return _mean_within(block, hostile)

    return {name: _by_block(_held(updates, name), trimmed) for name in names_of(updates)}


def integer_median(updates: Sequence[Update]) -> Params:
    """The median of what takes no part in norms and distances: integer arrays (counters)."""
    return {
        name: _by_block(held, _middle)
        for name in names_of(updates)
        if not is_float((held := _held(updates, name))[0])
    }


def names_of(updates: Sequence[Update]) -> list[str]:
    """The names of all arrays, sorted."""
    return sorted({name for update in updates for name in update})


def _held(updates: Sequence[Update], name: str) -> list[Array]:
    return [update[name] for update in updates if name in update]


def _by_block(arrays: Sequence[Array], combine: Callable[[Array], Array]) -> Array:
    """`combine` over blocks (n, size), put together in the arrays' own shape and dtype."""
    first = arrays[0]
    result = np.empty(first.size, first.dtype)
    flat = [np.ascontiguousarray(array).reshape(-1) for array in arrays]

    def fill(_: int, part: slice, __: Floats) -> None:
        block = np.stack([one[part] for one in flat])
        result[part] = rounded(combine(block), first.dtype)

    with Crew(block=BLOCK) as crew:
        crew.each_block([first.size], fill)
    return result.reshape(first.shape)


def _middle(block: Array) -> Array:
    ordered, half = np.sort(block, axis=0), len(block) // 2
    if len(block) % 2:
        return np.asarray(ordered[half])
    # Halved before the sum, which might be more than the largest number there is.
    return np.asarray(
        ordered[half - 1].astype(np.float64) / 2 + ordered[half].astype(np.float64) / 2
    )


def _mean_within(block: Array, cut: int) -> Array:
    """Summed in the order of the rows, so that nothing cut off leaves the plain mean's bits."""
    ranks = block.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    total = np.zeros(block.shape[1], np.float64)
    for row, rank in zip(block, ranks, strict=True):
        total += np.where((rank >= cut) & (rank < len(block) - cut), row, 0)
    return total / (len(block) - 2 * cut)
