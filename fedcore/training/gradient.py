"""The gradient of a party's own loss at given weights: SCAFFOLD's option I."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from fedcore.config.task import TaskFile
from fedcore.data.images import ImageSet
from fedcore.models.inference import lay_out
from fedcore.models.state import as_array, load_params
from fedcore.params import Params
from fedcore.training.ahead import ahead
from fedcore.training.batches import Draw, Feed, require_usable
from fedcore.training.hardware import Hardware, gives_back, this_machine
from fedcore.training.in_words import in_words
from fedcore.training.objectives import objective_for
from fedcore.training.plan import TrainPlan, batch_bounds, plan_for
from fedcore.training.reproducible import derive_seed, reproducible


@gives_back
def mean_gradient(
    network: nn.Module,
    start: Params,
    images: ImageSet,
    task: TaskFile,
    *,
    hardware: Hardware | None = None,
) -> Params:
    """The mean gradient of the loss at `start` over all images, by name of trainable parameter.

    One more pass over the data: batches of the task's size in the set's order, as they lie, in
    training mode (BatchNorm over each batch, dropout drawn from the seed); with the gradient of
    sgd's weight decay. Whatever the network held is lost. Raises `DataError` for images that do
    not fit, `Refused` for a `start` of another schema, `TrainingFailed` when a GPU's memory runs
    out.
    """
    plan, machine = plan_for(task), hardware or this_machine(task.training)
    require_usable(images, plan)
    with in_words(plan.batch_size), reproducible(derive_seed(plan.seed, "gradient"), machine):
        lay_out(network, machine.device, machine.layout)
        load_params(network, start)
        _add_up(network.train(), images, plan, machine)
        found = {name: _decayed(one, plan) for name, one in network.named_parameters()}
        network.zero_grad(set_to_none=True)
        return {name: as_array(one) for name, one in found.items() if one is not None}


def _add_up(network: nn.Module, images: ImageSet, plan: TrainPlan, machine: Hardware) -> None:
    """Leave the mean gradient over all images in the parameters' `grad`."""
    objective = objective_for(plan, images, machine)
    feed = Feed(images, plan, machine)
    network.zero_grad(set_to_none=True)
    bounds = batch_bounds(len(images), plan.size_for(len(images)))
    row = (Draw(np.arange(begin, end), None) for begin, end in bounds)
    with ahead(row, feed.batch, machine) as batches, torch.enable_grad():
        for pixels, labels in batches:
            with torch.autocast(machine.device, torch.bfloat16, machine.bfloat16):
                outputs = network(pixels)
            loss = objective.loss(outputs, labels) * (len(labels) / len(images))
            loss.backward()  # type: ignore[no-untyped-call]


def _decayed(parameter: nn.Parameter, plan: TrainPlan) -> torch.Tensor | None:
    if parameter.grad is None:
        return None
    decay = plan.weight_decay if plan.penalises(parameter.dim()) else 0.0
    return parameter.grad.detach().add(parameter.detach(), alpha=decay)
