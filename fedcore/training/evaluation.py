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
from fedcore.metrics import AnyScores, Scores
from fedcore.metrics_survival import SurvivalScores
from fedcore.models.inference import Normalise, by_class, lay_out, probabilities_of, sent, slices
from fedcore.models.state import as_tensor, load_params
from fedcore.params import Params
from fedcore.training.ahead import Batch, ahead
from fedcore.training.batches import constants_for, require_usable
from fedcore.training.hardware import Hardware, gives_back, this_machine
from fedcore.training.in_words import in_words
from fedcore.training.plan import plan_for
from fedcore.training.reproducible import reproducible
from fedcore.training.survival import partial_likelihood


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
) -> AnyScores:
    """Score `params` on all images, independently of the task's batch size.

    The loss is the unweighted cross-entropy, summed without rounding; for survival, Cox's negative
    log partial likelihood with all patients of the set as one risk set. No image at all gives
    empty scores. Raises what `predict` raises.
    """
    if task.task_type == "survival":
        return _survival(network, params, images, task, hardware)
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
    network or for none at all, `Refused` for params of another schema, `TrainingFailed` when a
    GPU's memory runs out.
    """
    logits = by_class(_outputs(network, params, images, task, hardware))
    surprise = -torch.log_softmax(logits.double(), dim=1).numpy()
    losses = surprise[np.arange(len(images)), _labels(images)]
    return Predictions(probabilities_of(logits), losses)


def withhold(scores: AnyScores, min_reported: int) -> AnyScores | None:
    """The scores, or `None` when they are over too few patients to leave the hospital."""
    return scores if scores.patients >= min_reported else None


def _survival(
    network: nn.Module,
    params: Params,
    images: ImageSet,
    task: TaskFile,
    hardware: Hardware | None,
) -> SurvivalScores:
    if not len(images):
        nothing = np.empty(0)
        return SurvivalScores.of(nothing, nothing, nothing.astype(np.bool_), 0.0, images.patients)
    risk = _outputs(network, params, images, task, hardware)[:, 0]
    labels = torch.from_numpy(np.array(images.labels, dtype=np.float64))
    loss = partial_likelihood(risk.double(), labels, task.training.ties)
    times, events = images.labels[:, 0], images.labels[:, 1] > 0
    return SurvivalScores.of(risk.numpy(), times, events, float(loss), images.patients)


@gives_back
def _outputs(
    network: nn.Module,
    params: Params,
    images: ImageSet,
    task: TaskFile,
    hardware: Hardware | None,
) -> torch.Tensor:
    """(N, outputs) float32 on the processor, in the set's order."""
    plan, machine = plan_for(task), hardware or this_machine(task.training)
    require_usable(images, plan)
    with in_words(), reproducible(plan.seed, machine, exact=True), torch.no_grad():
        # This layout is the faster one for inference, and the one that the served model uses.
        lay_out(network, machine.device, torch.channels_last)
        load_params(network, params)
        network.eval()
        normalise = Normalise(constants_for(images, plan), machine.device)

        def made(place: tuple[int, int]) -> Batch:
            pixels = sent(as_tensor(images.batch(np.arange(*place))), machine.device)
            if pixels.is_floating_point():
                return (pixels,)
            return (normalise.bytes(pixels, torch.channels_last),)

        with ahead(slices(len(images)), made, machine) as batches:
            return torch.cat([network(batch) for (batch,) in batches]).cpu()


def _labels(images: ImageSet) -> npt.NDArray[np.int64]:
    return np.asarray(images.labels, dtype=np.int64)
