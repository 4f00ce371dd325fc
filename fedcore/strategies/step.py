"""How the mean update moves the global model."""

from __future__ import annotations

from collections.abc import Mapping

from fedcore.params import Array, Params, add, learned, scale, select


def advance(start: Mapping[str, Array], mean: Mapping[str, Array], lr: float = 1.0) -> Params:
    """The next global model: `start + lr * mean` where parties share, `start` where they do not.

    `lr` stretches what gradients move. BatchNorm's statistics and counters always move by their
    mean: stretched beyond it, a running variance could become negative.

    This is the server step of FedAvg (McMahan et al. 2017, algorithm 1) and, as FedProx changes
    only the party's loss (Li et al. 2020, "Federated Optimization in Heterogeneous Networks",
    algorithm 2), of FedProx too.
    """
    step = mean if lr == 1.0 else {**mean, **scale(learned(mean), lr)}
    return {**start, **add(select(start, step), step)}
