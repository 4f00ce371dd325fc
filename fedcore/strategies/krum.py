"""Krum and Multi-Krum: the updates that lie closest to their neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedcore.params import Params
from fedcore.strategies.coordinatewise import integer_median
from fedcore.strategies.distances import squared_distances
from fedcore.strategies.mean import WeightedMean
from fedcore.strategies.robust import Update


def krum(updates: Sequence[Update], hostile: int) -> Params:
    """The one update with the best score, whole and to the bit (Blanchard et al. 2017).

    "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent". A score is the sum
    of the squared distances to the n - f - 2 nearest others; of equals the first is taken.
    Integer arrays take no part in the distances.
    """
    best = ranking(updates, hostile)[0]
    return {name: updates[best][name] for name in sorted(updates[best])}


def multi_krum(updates: Sequence[Update], hostile: int, selected: int | None) -> Params:
    """The mean of the `selected` updates with the best scores (Blanchard et al. 2017).

    By default n - f - 2, the most that is proven (El Mhamdi et al. 2018, "The Hidden
    Vulnerability of Distributed Learning in Byzantium"). Integer arrays are all updates' median.
    """
    count = selected or len(updates) - hostile - 2
    mean = WeightedMean()
    for one in sorted(ranking(updates, hostile)[:count]):
        mean.add(updates[one], 1.0)
    return {**mean.result(), **integer_median(updates)}


def ranking(updates: Sequence[Update], hostile: int) -> list[int]:
    """The places of the updates, the best score first, of equals the first place first."""
    apart = squared_distances(updates)
    neighbours = len(updates) - hostile - 2
    scores = [
        float(np.sort(np.delete(row, place))[:neighbours].sum()) for place, row in enumerate(apart)
    ]
    return sorted(range(len(updates)), key=lambda place: (scores[place], place))
