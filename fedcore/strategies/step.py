"""How the mean update moves the global model."""

from __future__ import annotations

from collections.abc import Mapping

from fedcore.params import Array, Params, add, select


def advance(start: Mapping[str, Array], mean: Mapping[str, Array]) -> Params:
    """The next global model: `start + mean` where parties share, `start` where they do not.

    This is the server step of FedAvg (McMahan et al. 2017, algorithm 1) and, as FedProx changes
    only the party's loss (Li et al. 2020, "Federated Optimization in Heterogeneous Networks",
    algorithm 2), of FedProx too.
    """
    return {**start, **add(select(start, mean), mean)}
