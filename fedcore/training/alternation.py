"""FedRep's turns inside a round: first the head alone learns, then the rest of the network alone.

Collins et al. 2021, "Exploiting Shared Representations for Personalized Federated Learning",
algorithm 1. As in the paper's own code, BatchNorm's running statistics follow in both turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import nn

from fedcore.models.layers import head_names
from fedcore.training.plan import TrainPlan

Turn = Callable[[int], None]


@contextmanager
def alternating(network: nn.Module, plan: TrainPlan, images: int) -> Iterator[Turn]:
    """A function that, told how many steps are done, lets the right part learn in the next one.

    Parameters that do not learn anyway are left as they are; afterwards all are as they were.
    """
    head_steps = plan.head_steps(images)
    if not head_steps:
        yield _all_learn
        return
    named = [(name, one) for name, one in network.named_parameters() if one.requires_grad]
    head = set(head_names(network))

    def turn(done: int) -> None:
        for name, one in named:
            one.requires_grad_((name in head) == (done < head_steps))

    try:
        yield turn
    finally:
        for _, one in named:
            one.requires_grad = True


def _all_learn(_: int) -> None:
    """Nothing changes: every part learns in every step."""
