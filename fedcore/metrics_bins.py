"""The bins that predicted probabilities are counted in, and the curves that follow from the counts.

The bins are finest, in log odds, at even odds, and grow with the distance from there: so the
probabilities of a rare outcome, all near 0, and those of a confident network, all near 0 or 1, are
told apart as well as those about 0.5. The same everywhere, so that counts of several parties add
up. Numpy only: the coordinator uses it, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

BINS = 400
# Names the edges in every message: counts over other edges may not be added to these.
SCALE = "asinh-log-odds-400"
# Log odds: how far from even odds the steps begin to grow, and beyond which all is one bin. Where
# the second lies, a float64 cannot be told from 1.
EVEN, REACH = 0.5, 37.0
SHOWN = 64
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def _edges() -> Floats:
    """The BINS - 1 inner edges: equal steps of asinh(log odds / EVEN), symmetric about 0.5."""
    steps = np.linspace(-1, 1, BINS + 1)[1:-1] * np.arcsinh(REACH / EVEN)
    return np.asarray(1 / (1 + np.exp(-EVEN * np.sinh(steps))), dtype=np.float64)


EDGES = _edges()
CENTRES: Floats = (np.append(0, EDGES) + np.append(EDGES, 1)) / 2


def bins_of(probabilities: npt.NDArray[np.floating[Any]]) -> Ints:
    """The bin (0 to BINS - 1) of each probability in [0, 1]; an edge belongs to the upper bin.

    A bin is at most 0.006 wide and, at log odds x, 0.025 * sqrt(x^2 + 0.25) log odds. Exactly 0 is
    in the first, exactly 1 in the last.
    """
    return np.searchsorted(EDGES, probabilities, side="right").astype(np.int64)


def roc_curve(negatives: Ints, positives: Ints) -> tuple[Floats, Floats]:
    """False and true positive rates from the strictest threshold to the laxest, (0,0) to (1,1)."""
    false = np.concatenate([[0], np.cumsum(negatives[::-1])]).astype(np.float64)
    true = np.concatenate([[0], np.cumsum(positives[::-1])]).astype(np.float64)
    return false / max(false[-1], 1.0), true / max(true[-1], 1.0)


def area_under_roc(negatives: Ints, positives: Ints) -> float:
    """Area under the ROC curve of two histograms over the same bins; NaN if one is empty."""
    if not negatives.sum() or not positives.sum():
        return float("nan")
    false, true = roc_curve(negatives, positives)
    return float(np.trapezoid(true, false))


def average_precision(negatives: Ints, positives: Ints) -> float:
    """The mean, over the positives, of the precision down to each; NaN if there are none of a kind.

    In a bin the negatives count as evenly spread among the positives, as between the points of
    Davis and Goadrich, ICML 2006; in the outermost ones, of probabilities that are 0 and 1 to a
    float32, all count as ties.
    """
    if not negatives.sum() or not positives.sum():
        return float("nan")
    held = np.flatnonzero(positives[::-1])
    rows = np.stack([positives[::-1], negatives[::-1]]).astype(np.float64)
    some, others = rows[:, held, None]
    true, false = (np.cumsum(rows, axis=1) - rows)[:, held, None]
    # Of many positives in a bin, a few at even distances stand for all.
    shown = np.minimum(some, SHOWN)
    place = np.minimum(np.arange(0.5, SHOWN) * some / shown + 0.5, some)
    before = others * place / (some + 1)
    tied = (held == 0) | (held == BINS - 1)
    place[tied], before[tied] = some[tied], others[tied]
    precision = (true + place) / (true + place + false + before)
    mean = precision.mean(axis=1, where=np.arange(SHOWN) < shown)
    return float((some[:, 0] * mean).sum() / some.sum())


def calibration(
    negatives: Ints, positives: Ints, groups: int = 10
) -> list[tuple[float, float, int]]:
    """For each of `groups` equal ranges: mean predicted probability, share that was true, count.

    A bin counts with its middle, and in the range where that lies: the mean is off by at most
    0.003, half a bin.
    """
    place = np.minimum((CENTRES * groups).astype(np.int64), groups - 1)
    rows = []
    for group in range(groups):
        part = place == group
        both = (negatives + positives)[part]
        if count := int(both.sum()):
            mean = float((both * CENTRES[part]).sum() / count)
            rows.append((mean, float(positives[part].sum() / count), count))
    return rows
