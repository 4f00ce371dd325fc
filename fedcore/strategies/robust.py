"""A robust strategy: the round's updates together, each party with one vote, and who is too few."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from fedcore.config.federation import FederationSection
from fedcore.errors import QuorumNotMet, amount
from fedcore.params import Array, Params
from fedcore.strategies.rule import Contribution, Step
from fedcore.strategies.step import advance

Update = Mapping[str, Array]
Combine = Callable[[Sequence[Update], FederationSection], Params]


class Robust:
    """Takes what `combine` makes of all updates, in the order of party ids, as the step.

    Every party has one vote, whatever `weighting` says: how many patients a party has is its own
    word, and with it a hostile one could outvote all others. The papers are unweighted, too (of
    RFA, which is not, this is the case of equal weights).
    """

    keeping = True

    def __init__(self, federation: FederationSection, combine: Combine, lr: float = 1.0) -> None:
        """Nothing is added yet; `lr` is the coordinator's learning rate."""
        self._federation, self._combine, self._lr = federation, combine, lr
        self._held: dict[str, Update] = {}

    def add(self, contribution: Contribution) -> None:
        """See `Rule`; the update is read again in `finish`."""
        self._held[contribution.party] = contribution.update

    def finish(self, start: Mapping[str, Array], memory: Mapping[str, Array]) -> Step:
        """See `Rule`; nothing is remembered.

        Raises `QuorumNotMet` when an array is held by too few updates for the promise to hold.
        """
        updates = [self._held[party] for party in sorted(self._held)]
        require_enough(updates, self._federation)
        return Step(advance(start, self._combine(updates, self._federation), self._lr))


def require_enough(updates: Sequence[Update], federation: FederationSection) -> None:
    """Raise `QuorumNotMet` unless each array is held by as many updates as the strategy needs."""
    least, strategy = federation.least_updates, federation.strategy
    needs = f"{strategy} with federation.hostile {federation.hostile} needs {least}"
    remedy = "bring parties back and run the same command again, or agree on a new task file"
    if len(updates) < least:
        came = f"{len(updates)} {'update is' if len(updates) == 1 else 'updates are'} admitted"
        raise QuorumNotMet(f"{came} and {needs}: {remedy}")
    holders = Counter(name for update in updates for name in update)
    for name, count in sorted(holders.items()):
        if count < least:
            sharing = amount(count, "party", "parties")
            raise QuorumNotMet(f"{name} is shared by {sharing} and {needs}: {remedy}")
