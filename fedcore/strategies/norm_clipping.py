"""Norm clipping: no update is longer than the others, then the mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedcore.params import Params, norm
from fedcore.strategies.coordinatewise import integer_median
from fedcore.strategies.mean import WeightedMean
from fedcore.strategies.robust import Update


def norm_clipping(updates: Sequence[Update], max_norm: float | None) -> Params:
    """The mean of the updates, each scaled down to at most `max_norm` (Sun et al. 2019).

    "Can You Really Backdoor Federated Learning?". By default the bound is the median of the
    norms, so with an honest majority the step is no longer than the longest honest update. It
    bounds how far hostile parties can push, not where to. A scaled update lies between the global
    model and the party's, so variances stay non-negative. Integer arrays are the median.
    """
    with np.errstate(over="ignore"):
        sizes = [norm(update) for update in updates]
    bound = float(np.median(sizes)) if max_norm is None else max_norm
    mean = WeightedMean()
    for update, size in zip(updates, sizes, strict=True):
        mean.add(update, 1.0, factor=bound / size if size > bound else 1.0)
    return {**mean.result(), **integer_median(updates)}
