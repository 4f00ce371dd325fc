"""Which images make up which batch: a stated order that follows from seed, party and round."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice

import numpy as np
import numpy.typing as npt
import torch

from fedcore.data.images import ImageSet
from fedcore.errors import DataError, problem
from fedcore.models.inference import Normalise, sent
from fedcore.models.pixels import Normalisation
from fedcore.models.state import as_tensor
from fedcore.training.hardware import Hardware
from fedcore.training.plan import TrainPlan
from fedcore.training.reproducible import derive_seed


@dataclass(frozen=True)
class Draw:
    """The images of one batch by index, and which of them are mirrored (none: `None`)."""

    indices: npt.NDArray[np.int64]
    mirrored: npt.NDArray[np.bool_] | None


def draws(
    plan: TrainPlan, images: int, party_id: str, number: int, taken: int = 0
) -> Iterator[Draw]:
    """The batches of round `number` (from 1): pass after pass, each in an order of its own.

    A continuing loader is one endless row of passes over all rounds: `taken` says how many steps
    the party has done in the rounds before, and the row goes on there.
    Images are told apart by their index, so the set's own order takes part in what is learned.
    """
    row: tuple[str | int, ...] = (party_id, number)
    begun, within = 0, 0
    if plan.continuing:
        row = (party_id, "continuing")
        begun, within = divmod(taken, len(plan.bounds(images)))
    endless = islice(_passes(plan, images, row, begun), within, None)
    return islice(endless, plan.steps_per_round(images))


def _passes(plan: TrainPlan, images: int, row: tuple[str | int, ...], first: int) -> Iterator[Draw]:
    """The batches of pass `first` (from 0) of a row of passes, and of all after it."""
    for passed in count(first):
        random = np.random.default_rng(derive_seed(plan.data_seed, "order", *row, passed))
        order = random.permutation(images) if plan.shuffle else np.arange(images)
        mirrored = random.random(images) < 0.5 if plan.flip else None
        for start, end in plan.bounds(images):
            yield Draw(order[start:end], None if mirrored is None else mirrored[start:end])


class Feed:
    """Turns draws into normalised batches on the device."""

    def __init__(self, images: ImageSet, plan: TrainPlan, hardware: Hardware) -> None:
        self._images = images
        self._labels = torch.from_numpy(np.array(images.labels))
        self._device = hardware.device
        self._layout = hardware.layout
        self._normalise = Normalise(constants_for(images, plan), hardware.device)

    def batch(self, draw: Draw) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (B, C, H, W) or rows (B, F), float32, and labels: see `ImageSet`."""
        pixels = sent(as_tensor(self._images.batch(draw.indices)), self._device)
        labels = sent(self._labels[torch.from_numpy(draw.indices)], self._device)
        if pixels.is_floating_point():
            return pixels, labels
        if draw.mirrored is not None:
            pixels = _mirrored(pixels, torch.from_numpy(draw.mirrored), self._device)
        return self._normalise.bytes(pixels, self._layout), labels


def _mirrored(pixels: torch.Tensor, chosen: torch.Tensor, device: str) -> torch.Tensor:
    """The batch with the chosen images mirrored, on a processor in its place.

    A GPU would have to be waited for to know which are chosen, and mirrors all of them sooner.
    """
    if device == "cpu":
        pixels[chosen] = pixels[chosen].flip(-1)
        return pixels
    return torch.where(sent(chosen, device).view(-1, 1, 1, 1), pixels.flip(-1), pixels)


def constants_for(images: ImageSet, plan: TrainPlan) -> Normalisation:
    """What a party's images are normalised with: the task's constants, or the party's own."""
    if not plan.own_pixels:
        return plan.normalisation
    if images.pixel_statistics is None:
        raise DataError("the data folder: it was opened without data.normalize: own: open it anew")
    return Normalisation(images.pixel_statistics.mean, images.pixel_statistics.std)


def require_batches(images: ImageSet, plan: TrainPlan) -> None:
    """Raise `DataError` where `drop_last` leaves nothing of a party's training set."""
    if not plan.bounds(len(images)):
        raise DataError(
            problem(
                "the task file",
                "training.drop_last",
                True,
                f"there are fewer training images ({len(images)}) than federation.batch_size, "
                f"{plan.batch_size}, so no batch is full: lower it, or write false",
            )
        )


def require_usable(images: ImageSet, plan: TrainPlan) -> None:
    """Raise `DataError` unless the set can be trained on or scored with this plan's network."""
    if not len(images):
        thing = "row" if plan.table else "image"
        raise DataError(
            f"the data folder: there is no {thing} in this split: add {thing}s or patients"
        )
    shape = images.batch(np.zeros(1, dtype=np.int64)).shape[1:]
    if shape != plan.input_size:
        raise DataError(
            f"the data folder: images are {shape} and model.input_size is {plan.input_size}: "
            "prepare the images for this task file"
        )
    if plan.survival:
        return
    lowest, highest = int(images.labels.min()), int(images.labels.max())
    if lowest < 0 or highest >= plan.num_classes:
        odd = lowest if lowest < 0 else highest
        raise DataError(
            f"the data folder: class number {odd} is not below model.num_classes, "
            f"{plan.num_classes}: correct the labels or the task file"
        )
