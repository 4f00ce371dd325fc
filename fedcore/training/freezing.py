"""Which layers are trained in a round: the others keep every bit, BatchNorm's statistics too."""

from __future__ import annotations

from torch import nn

from fedcore.errors import ModelError, problem
from fedcore.models.layers import names_in
from fedcore.training.plan import TrainPlan

TASK_FILE, FIELD = "the task file", "training.freeze"


def freeze(network: nn.Module, plan: TrainPlan, number: int) -> None:
    """Put the network into training mode for round `number`, frozen layers left out.

    A frozen parameter gets no gradient. A layer whose parameters are all frozen is in evaluation
    mode: BatchNorm normalises with its running statistics and does not change them, and dropout
    inside of it is off. Raises what `require_freezable` raises.
    """
    frozen = frozen_names(network, plan, number)
    network.train()
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name not in frozen)
    for layer, module in network.named_modules():
        own = {f"{layer}.{name}" for name in module.state_dict()}
        if own and own <= frozen:
            module.eval()


def frozen_names(network: nn.Module, plan: TrainPlan, number: int) -> frozenset[str]:
    """The state that keeps its bits in round `number`."""
    parts = [names_in(network, one, TASK_FILE, FIELD) for one in plan.frozen_in(number)]
    return frozenset().union(*parts)


def require_freezable(network: nn.Module, plan: TrainPlan) -> None:
    """Raise `ModelError` for a layer that the network lacks and a round without any training."""
    edges = {1, *(rule.from_round for rule in plan.freeze)}
    for number in sorted(edges):
        if number <= plan.rounds:
            frozen = frozen_names(network, plan, number)
            if all(name in frozen for name, _ in network.named_parameters()):
                remedy = f"in round {number} nothing is left to train: leave a layer out"
                raise ModelError(
                    problem(TASK_FILE, FIELD, ", ".join(plan.frozen_in(number)), remedy)
                )
