"""FedBuff and FedAsync: steps with the first few updates that come, the older the lighter.

Both come with `staleness` in rounds, that is in steps of the coordinator since the model that a
training started from.
"""

from __future__ import annotations

from collections.abc import Mapping

from fedcore.params import Array
from fedcore.strategies.mean import WeightedMean
from fedcore.strategies.rule import Contribution, Step
from fedcore.strategies.step import advance


class Buffered:
    """FedBuff (Nguyen et al. 2022, "Federated Learning with Buffered Asynchronous Aggregation").

    The weighted mean of a full buffer, in which an update counts (1 + t)^-a of itself; the weights
    are not scaled up again, so a buffer of old updates makes a small step. Of running statistics
    the party's own value counts, as seen from the present model, and so stays a variance.
    """

    keeping = False

    def __init__(self, exponent: float) -> None:
        """Nothing is added yet; `exponent` is a."""
        self._exponent, self._mean = exponent, WeightedMean()

    def add(self, contribution: Contribution) -> None:
        """See `Rule`."""
        share = freshness(contribution.staleness, self._exponent)
        self._mean.add(contribution.update, contribution.weight, factor=share)

    def finish(self, start: Mapping[str, Array], memory: Mapping[str, Array]) -> Step:
        """See `Rule`; nothing is remembered."""
        return Step(advance(start, self._mean.result()))


class Mixed:
    """FedAsync (Xie et al. 2019, "Asynchronous Federated Optimization").

    The next model is (1 - m) of the present one and m of the party's own, with m = `mixing`
    (1 + t)^-a. The paper's proximal term at the party is left out.
    """

    keeping = False

    def __init__(self, mixing: float, exponent: float) -> None:
        """Nothing is added yet; `exponent` is a."""
        self._mixing, self._exponent, self._mean = mixing, exponent, WeightedMean()

    def add(self, contribution: Contribution) -> None:
        """See `Rule`."""
        share = self._mixing * freshness(contribution.staleness, self._exponent)
        rebased = contribution.rebased
        self._mean.add(contribution.update if rebased is None else rebased, 1.0, factor=share)

    def finish(self, start: Mapping[str, Array], memory: Mapping[str, Array]) -> Step:
        """See `Rule`; nothing is remembered."""
        return Step(advance(start, self._mean.result()))


def freshness(staleness: int, exponent: float) -> float:
    """(1 + t)^-a: one for an update of this round, less for one of t rounds ago."""
    return float((1 + staleness) ** -exponent)
