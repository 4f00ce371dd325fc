"""What the task file says about local training, as one frozen record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fedcore.config.task import TaskFile
from fedcore.models.pixels import Normalisation, normalisation


@dataclass(frozen=True)
class TrainPlan:
    """How every party trains in every round; the same at all of them."""

    seed: int
    rounds: int
    batch_size: int
    local_epochs: int
    local_steps: int | None
    head_epochs: int
    lr: float
    optimizer: Literal["sgd", "adam", "adamw"]
    momentum: float
    weight_decay: float
    schedule: Literal["constant", "step", "cosine", "onecycle"]
    step_rounds: int
    step_factor: float
    mu: float
    balanced: bool
    flip: bool
    num_classes: int
    input_size: tuple[int, int, int]
    normalisation: Normalisation

    def steps_per_round(self, images: int) -> int:
        """Optimiser steps of one round over `images` images, those of the head alone included."""
        head = self.head_steps(images)
        if self.local_steps is not None:
            return head + self.local_steps
        return head + self.local_epochs * len(batch_bounds(images, self.batch_size))

    def head_steps(self, images: int) -> int:
        """With how many steps of the head alone a round begins (FedRep; otherwise none)."""
        return self.head_epochs * len(batch_bounds(images, self.batch_size))


def plan_for(task: TaskFile) -> TrainPlan:
    """The plan in a task file; what belongs to another strategy than the task's is 0."""
    federation, training = task.federation, task.training
    return TrainPlan(
        seed=task.seed,
        rounds=federation.epochs,
        batch_size=federation.batch_size,
        local_epochs=federation.local_epochs,
        local_steps=federation.local_steps,
        head_epochs=federation.head_epochs if federation.strategy == "fedrep" else 0,
        lr=federation.lr,
        optimizer=training.optimizer,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
        schedule=training.schedule,
        step_rounds=training.step_rounds,
        step_factor=training.step_factor,
        mu=federation.mu if federation.strategy == "fedprox" else 0.0,
        balanced=training.class_weights == "balanced",
        flip=training.augment == "flip",
        num_classes=task.model.num_classes,
        input_size=task.model.input_size,
        normalisation=normalisation(task.data, task.model.input_size[0]),
    )


def batch_bounds(images: int, size: int) -> list[tuple[int, int]]:
    """Start and end of each batch of one pass: every image once, the last batch may be smaller.

    A single image left over joins the batch before it, because BatchNorm cannot take the variance
    of one image. (With batch size 1, or one image in all, batches of one are what was asked for.)
    """
    starts = list(range(0, images, size))
    if len(starts) > 1 and size > 1 and images - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], images], strict=True)) if starts else []
