"""What a model is worth on a set of images, as counts that can be pooled."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fedcore.config.task import TaskFile
from fedcore.data.images import ImageSet
from fedcore.metrics import Scores
from fedcore.models.inference import Normalise, lay_out, probabilities_of, slices
from fedcore.models.state import as_tensor, load_params
from fedcore.params import Params
from fedcore.training.batches import constants_for, require_usable
from fedcore.training.hardware import Hardware, this_machine
from fedcore.training.plan import TrainPlan, plan_for
from fedcore.training.reproducible import reproducible


@dataclass(frozen=True)
class Predictions:
    """Per image, in the set's order: float32 probabilities (N, C) and float64 losses (N,)."""

    probabilities: npt.NDArray[np.float32]
    losses: npt.NDArray[np.float64]


def evaluate(
    network: nn.Module,
    params: Params,
    images: ImageSet,
    task: TaskFile,
    *,
    hardware: Hardware | None = None,
) -> Scores:
    """Score `params` on all images, independently of the task's batch size.

    The loss is the unweighted cross-entropy, summed without rounding. No image at all gives empty
    scores. Raises what `predict` raises.
    """
    if not len(images):
        nothing = np.empty((0, task.model.num_classes))
        return Scores.of(nothing, _labels(images), 0.0, images.patients)
    found = predict(network, params, images, task, hardware=hardware)
    loss_sum = math.fsum(found.losses.tolist())
    return Scores.of(found.probabilities, _labels(images), loss_sum, images.patients)


def predict(
    network: nn.Module,
    params: Params,
    images: ImageSet,
    task: TaskFile,
    *,
    hardware: Hardware | None = None,
) -> Predictions:
    """What `params` say about each image, in float32 and evaluation mode.

    Losses are taken in float64 from the logits. Raises `DataError` for images that do not fit the
    network or for none at all, `Refused` for params of another schema.
    """
    plan, machine = plan_for(task), hardware or this_machine(task.training)
    require_usable(images, plan)
    with reproducible(plan.seed, machine), torch.no_grad():
        # This layout is the faster one for inference, and the one that the served model uses.
        lay_out(network, machine.device, torch.channels_last)
        load_params(network, params)
        return _predictions(network.eval(), images, plan, machine)


def withhold(scores: Scores, min_reported: int) -> Scores | None:
    """The scores, or `None` when they are over too few patients to leave the hospital."""
    return scores if scores.patients >= min_reported else None


def _predictions(
    network: nn.Module, images: ImageSet, plan: TrainPlan, machine: Hardware
) -> Predictions:
    normalise = Normalise(constants_for(images, plan), machine.device)
    truth = _labels(images)
    probabilities, losses = [], []
    for start, end in slices(len(images)):
        pixels = as_tensor(images.batch(np.arange(start, end)))
        logits = network(normalise.bytes(pixels, torch.channels_last))
        surprise = -torch.log_softmax(logits.double(), dim=1).cpu().numpy()
        losses.append(surprise[np.arange(end - start), truth[start:end]])
        probabilities.append(probabilities_of(logits))
    return Predictions(np.concatenate(probabilities), np.concatenate(losses))


def _labels(images: ImageSet) -> npt.NDArray[np.int64]:
    return np.asarray(images.labels, dtype=np.int64)
