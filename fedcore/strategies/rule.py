"""What a strategy is to whoever combines: contributions go in one by one, a model comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from fedcore.params import Array, Params


@dataclass(frozen=True)
class Contribution:
    """One admitted update of one party.

    `update` may read each array anew from a file. `normaliser` is what FedNova divides by (1 for
    everybody else), `staleness` how many rounds ago the training started from its model, `everyone`
    the weight of all members together, also of those that are absent. `rebased` is a late update as
    the way from the present model to the party's own.
    """

    party: str
    weight: float
    update: Mapping[str, Array]
    normaliser: float = 1.0
    staleness: int = 0
    everyone: float = 1.0
    rebased: Mapping[str, Array] | None = None


@dataclass(frozen=True)
class Step:
    """The next global model, and what the coordinator remembers for the round after (momenta)."""

    model: Params
    memory: Params = field(default_factory=dict)


class Rule(Protocol):
    """One round's worth of a strategy: made anew for each round, fed in the order of party ids.

    A rule that is `keeping` holds on to its contributions until `finish`, so their updates are
    given as views of files, not of memory.
    """

    @property
    def keeping(self) -> bool:
        """Whether contributions are looked at again after `add`."""

    def add(self, contribution: Contribution) -> None:
        """Take one contribution in."""

    def finish(self, start: Mapping[str, Array], memory: Mapping[str, Array]) -> Step:
        """The step from the global model `start`; `memory` is what the last step left, or empty.

        Raises `QuorumNotMet` when nothing was added.
        """
