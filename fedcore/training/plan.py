"""What the task file says about local training, as one frozen record."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from fedcore.config.base import BatchSize
from fedcore.config.task import TaskFile
from fedcore.config.training import ClassWeights, Freeze, Optimizer, Schedule, TrainingSection
from fedcore.models.pixels import Normalisation, normalisation


@dataclass(frozen=True)
class TrainPlan:
    """How every party trains in every round; the same at all of them."""

    seed: int
    data_seed: int
    rounds: int
    batch_size: BatchSize
    local_epochs: int
    local_steps: int | None
    head_epochs: int
    lr: float
    optimizer: Optimizer
    keeps_optimizer: bool
    momentum: float
    nesterov: bool
    dampening: float
    betas: tuple[float, float]
    amsgrad: bool
    alpha: float
    centered: bool
    lr_decay: float
    initial_accumulator_value: float
    eps: float
    weight_decay: float
    l1: float
    l2: float
    penalised: Literal["all", "weights"]
    max_grad_norm: float | None
    label_smoothing: float
    schedule: Schedule
    schedule_unit: Literal["round", "step"] | None
    step_rounds: int
    milestones: tuple[int, ...]
    step_factor: float
    gamma: float
    decay: float
    power: float
    end_factor: float
    warmup_rounds: int
    warmup_steps: int
    shuffle: bool
    drop_last: bool
    join_single: bool
    continuing: bool
    freeze: tuple[Freeze, ...]
    backbone_lr: float
    mu: float
    class_weights: ClassWeights
    positive_weight: float | None
    focal_gamma: float | None
    flip: bool
    num_classes: int
    input_size: tuple[int, ...]
    normalisation: Normalisation
    own_pixels: bool
    ties: Literal["efron", "breslow"]
    cox_mean: Literal["events", "patients"]
    table: bool = False
    one_logit: bool = False
    survival: bool = False

    def steps_per_round(self, images: int) -> int:
        """Optimiser steps of one round over `images` images, those of the head alone included."""
        head = self.head_steps(images)
        if self.local_steps is not None:
            return head + self.local_steps
        return head + self.local_epochs * len(self.bounds(images))

    def head_steps(self, images: int) -> int:
        """With how many steps of the head alone a round begins (FedRep; otherwise none)."""
        return self.head_epochs * len(self.bounds(images))

    def bounds(self, images: int) -> list[tuple[int, int]]:
        """Start and end of each batch of one pass over `images` images."""
        size = self.size_for(images)
        return batch_bounds(images, size, drop_last=self.drop_last, join_single=self.join_single)

    def size_for(self, images: int) -> int:
        """How many of `images` images make a batch."""
        return max(images, 1) if self.batch_size == "full" else self.batch_size

    def penalises(self, dimensions: int) -> bool:
        """Whether l1, l2 and weight decay act on a parameter of so many dimensions.

        Biases and the scales and shifts of norms have one, weights two or more.
        """
        return self.penalised == "all" or dimensions > 1

    def frozen_in(self, number: int) -> tuple[str, ...]:
        """Which layers, as the task file names them, are frozen in round `number`."""
        return tuple(rule.layers for rule in self.freeze if rule.holds_in(number))


def plan_for(task: TaskFile) -> TrainPlan:
    """The plan in a task file; what belongs to another strategy than the task's is 0."""
    federation, training = task.federation, task.training
    plan = TrainPlan(
        seed=task.seed,
        data_seed=task.seed if task.data_seed is None else task.data_seed,
        rounds=federation.epochs,
        batch_size=federation.batch_size,
        local_epochs=federation.local_epochs,
        local_steps=federation.local_steps,
        head_epochs=federation.head_epochs if federation.strategy == "fedrep" else 0,
        lr=federation.lr,
        keeps_optimizer=training.optimizer_state == "kept",
        continuing=training.loader == "continuing",
        mu=federation.mu if federation.strategy == "fedprox" else 0.0,
        flip=training.augment == "flip",
        num_classes=task.model.num_classes,
        input_size=task.model.input_size,
        normalisation=normalisation(task.data, task.model.input_size[0]),
        own_pixels=task.data.normalize == "own",
        **_as_written(training),
    )
    return plan if task.inputs is None else _for_table(plan, task, task.inputs)


def _as_written(training: TrainingSection) -> dict[str, Any]:
    """What the plan takes from the section `training` under the same name."""
    names = TrainingSection.model_fields.keys() & {one.name for one in fields(TrainPlan)}
    return {name: getattr(training, name) for name in names}


def _for_table(plan: TrainPlan, task: TaskFile, inputs: int) -> TrainPlan:
    """The plan for rows of `inputs` numbers; without BatchNorm, a row left over stands alone."""
    return replace(
        plan,
        input_size=(inputs,),
        join_single=plan.join_single and task.model.norm == "batch",
        table=True,
        one_logit=task.model.num_classes == 2 and task.model.logits == "one",
        survival=task.task_type == "survival",
    )


def batch_bounds(
    images: int, size: int, *, drop_last: bool = False, join_single: bool = True
) -> list[tuple[int, int]]:
    """Start and end of each batch of one pass: every image once, the last batch may be smaller.

    With `join_single`, a single image left over joins the batch before it, because BatchNorm cannot
    take the variance of one image. (With batch size 1, or one image in all, batches of one are what
    was asked for.) With `drop_last`, a last batch that is not full is left out.
    """
    starts = list(range(0, images - images % size if drop_last else images, size))
    if drop_last:
        return [(start, start + size) for start in starts]
    if join_single and len(starts) > 1 and size > 1 and images - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], images], strict=True)) if starts else []
