"""The geometric median: the point whose distances to all updates have the smallest sum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fedcore.params import Params
from fedcore.strategies.coordinatewise import integer_median
from fedcore.strategies.distances import Matrix, products_from, squared_distances
from fedcore.strategies.mean import WeightedMean
from fedcore.strategies.robust import Update

# Distances below this count as this (the paper's nu), so nothing is divided by zero.
SMOOTHING = 1e-6
MOST_STEPS, STILL = 1000, 1e-12
Vector = npt.NDArray[np.float64]


def geometric_median(updates: Sequence[Update]) -> Params:
    """The smoothed Weiszfeld algorithm (Pillutla et al. 2022, "Robust Aggregation for FL").

    With f hostile of n it is no farther from the honest mean than 2 (n - f) / (n - 2 f) times the
    farthest honest update. It is a mean of the updates whose weights are sought among n numbers,
    so three passes over the files are enough. Integer arrays are all updates' median.
    """
    mean = WeightedMean()
    for update, weight in zip(updates, weiszfeld(updates), strict=True):
        if weight > 0:
            mean.add(update, float(weight))
    return {**mean.result(), **integer_median(updates)}


def weiszfeld(updates: Sequence[Update]) -> Vector:
    """The weights (n,), of sum 1, that make the geometric median of the updates.

    It begins at the mean of the closest majority: the update that has the nearest n / 2 others,
    and those. One that is infinitely far away from it (its squared distance is no float64) has
    the weight that it tends to, zero.
    """
    apart = np.sqrt(squared_distances(updates))
    reach = np.sort(apart, axis=1)[:, len(updates) // 2]
    central = apart[int(np.argmin(reach))]
    near = [place for place, far in enumerate(central) if np.isfinite(far)]
    close, origin = central[near] <= reach.min(), int(np.argmin(central[near]))
    weights = np.zeros(len(updates))
    weights[near] = _settled(products_from([updates[place] for place in near], origin), close)
    return weights


def _settled(products: Matrix, close: npt.NDArray[np.bool_]) -> Vector:
    """From equal weights of the `close` ones step by step until the weights stay."""
    weights = close / close.sum()
    for _ in range(MOST_STEPS):
        pulls = 1.0 / np.maximum(SMOOTHING, _distances(products, weights))
        after = pulls / pulls.sum()
        if np.abs(after - weights).max() <= STILL:
            break
        weights = after
    return np.asarray(weights)


def _distances(products: Matrix, weights: Vector) -> Vector:
    """From the mean with these weights to each point."""
    offsets = weights - np.eye(len(weights))
    squares = np.einsum("pi,ij,pj->p", offsets, products, offsets)
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)))
