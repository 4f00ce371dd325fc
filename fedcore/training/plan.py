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
    input_size: tuple[int, ...]
    normalisation: Normalisation
    table: bool = False
    one_logit: bool = False
    survival: bool = False
    ties: Literal["efron", "breslow"] = "efron"
    cox_mean: Literal["events", "patients"] = "events"

    def steps_per_round(self, images: int) -> int:
        """Optimiser steps of one round over `images` images."""
        if self.local_steps is not None:
            return self.local_steps
        return self.local_epochs * len(batch_bounds(images, self.batch_size, lone=self.table))


def plan_for(task: TaskFile) -> TrainPlan:
    """The plan in a task file; `mu` is 0 unless the strategy is fedprox."""
    federation, training = task.federation, task.training
    return TrainPlan(
        seed=task.seed,
        rounds=federation.epochs,
        batch_size=federation.batch_size,
        local_epochs=federation.local_epochs,
        local_steps=federation.local_steps,
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
        input_size=task.model.input_size if task.inputs is None else (task.inputs,),
        normalisation=normalisation(task.data, task.model.input_size[0]),
        table=task.inputs is not None,
        one_logit=task.inputs is not None
        and task.model.num_classes == 2
        and task.model.logits == "one",
        survival=task.task_type == "survival",
        ties=training.ties,
        cox_mean=training.cox_mean,
    )


def batch_bounds(images: int, size: int, *, lone: bool = False) -> list[tuple[int, int]]:
    """Start and end of each batch of one pass: every image once, the last batch may be smaller.

    A single image left over joins the batch before it, because BatchNorm cannot take the variance
    of one image. (With batch size 1, or one image in all, batches of one are what was asked for.)
    With `lone`, a single row left over is a batch of its own: a table's networks have no BatchNorm.
    """
    starts = list(range(0, images, size))
    if not lone and len(starts) > 1 and size > 1 and images - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], images], strict=True)) if starts else []
