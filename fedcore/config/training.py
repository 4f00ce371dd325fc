"""The task file's section `training`: what a party does inside a round."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from fedcore.config.base import Section, misfit

Optimizer = Literal["sgd", "adam", "adamw", "rmsprop", "adagrad"]
Schedule = Literal[
    "constant",
    "step",
    "multistep",
    "exponential",
    "inverse",
    "linear",
    "polynomial",
    "cosine",
    "onecycle",
]
ClassWeights = Literal["none", "balanced"] | tuple[float, ...]
Milestone = Annotated[int, Field(ge=1)]
# Where torch's own default is another one than the field's.
DEFAULTS = {"rmsprop": {"momentum": 0.0}, "adagrad": {"eps": 1e-10}}


class Freeze(Section):
    """Layers that are not trained for some rounds."""

    layers: str = Field(
        description="backbone (all but the classifier), head (the classifier), or a layer's name"
    )
    from_round: int = Field(1, ge=1, description="the first round in which they are frozen")
    until_round: int | None = Field(
        None, ge=1, description="the last round in which they are frozen; by default all"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.until_round is not None and self.until_round < self.from_round:
            remedy = f"write from_round, which is {self.from_round}, or more"
            raise misfit("until_round", self.until_round, remedy)
        return self

    def holds_in(self, number: int) -> bool:
        """Whether the layers are frozen in round `number`."""
        return self.from_round <= number <= (self.until_round or number)


class TrainingSection(Section):
    """How a party trains inside a round."""

    optimizer: Optimizer = Field("adam", description="what follows the gradients downhill")
    optimizer_state: Literal["fresh", "kept"] = Field(
        "fresh", description="the optimiser's moments: anew every round, or kept at the party"
    )
    momentum: float = Field(
        0.9, ge=0, lt=1, description="momentum of sgd, and of rmsprop, whose default is 0"
    )
    nesterov: bool = Field(False, description="Nesterov's form of sgd's momentum")
    dampening: float = Field(0.0, ge=0, le=1, description="dampening of sgd's momentum")
    betas: tuple[float, float] = Field(
        (0.9, 0.999), description="decay of the two moments of adam and adamw"
    )
    amsgrad: bool = Field(False, description="adam and adamw divide by the largest moment so far")
    alpha: float = Field(0.99, ge=0, lt=1, description="decay of rmsprop's mean of squares")
    centered: bool = Field(
        False, description="rmsprop divides by the deviation, not by the mean of squares"
    )
    lr_decay: float = Field(
        0.0, ge=0, description="adagrad: step t takes lr / (1 + (t - 1) * lr_decay)"
    )
    initial_accumulator_value: float = Field(
        0.0, ge=0, description="where adagrad's sum of squares begins"
    )
    eps: float = Field(
        1e-8,
        gt=0,
        le=1,
        description="what is added to the denominator, but with sgd; adagrad's default is 1e-10",
    )
    weight_decay: float = Field(
        0.0, ge=0, description="L2 regularisation in the optimiser (decoupled in adamw)"
    )
    l1: float = Field(0.0, ge=0, description="weight of the sum of absolute weights in the loss")
    l2: float = Field(0.0, ge=0, description="weight of the sum of squared weights in the loss")
    penalised: Literal["all", "weights"] = Field(
        "all",
        description="what l1, l2 and weight_decay act on: all parameters, or no bias and no norm",
    )
    max_grad_norm: float | None = Field(
        None, gt=0, description="clip each step's whole gradient to this L2 norm"
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of each label that is spread over all classes"
    )
    schedule: Schedule = Field(
        "constant", description="course of the learning rate over the whole training"
    )
    schedule_unit: Literal["round", "step"] | None = Field(
        None,
        description="what a schedule counts: rounds, or the party's steps; by default steps with "
        "cosine and onecycle, else rounds",
    )
    step_rounds: int = Field(10, ge=1, description="rounds between two steps of schedule step")
    milestones: tuple[Milestone, ...] = Field(
        (), description="schedule multistep: after how many rounds the rate changes, ascending"
    )
    step_factor: float = Field(
        0.1, gt=0, le=1, description="factor of each step of schedules step and multistep"
    )
    gamma: float = Field(0.99, gt=0, le=1, description="schedule exponential: lr * gamma^t")
    decay: float = Field(0.01, ge=0, description="schedule inverse: lr / (1 + decay * t)^power")
    power: float = Field(
        1.0, gt=0, le=100, description="exponent of schedules inverse and polynomial"
    )
    end_factor: float = Field(
        0.0, ge=0, le=1, description="share of lr to which schedules linear and polynomial fall"
    )
    warmup_rounds: int = Field(0, ge=0, description="rounds in which the learning rate rises")
    warmup_steps: int = Field(
        0, ge=0, description="the same in steps of the party, in place of warmup_rounds"
    )
    shuffle: bool = Field(True, description="a new order of the images in every pass")
    drop_last: bool = Field(False, description="leave out a pass's last batch if it is not full")
    join_single: bool = Field(
        True, description="a single image left over joins the batch before, as BatchNorm needs"
    )
    loader: Literal["per_round", "continuing"] = Field(
        "per_round", description="a round begins a new pass, or goes on where the last one stopped"
    )
    freeze: tuple[Freeze, ...] = Field((), description="which layers are not trained, and when")
    backbone_lr: float = Field(
        1.0, gt=0, le=1000, description="factor on the learning rate of all but the classifier"
    )
    class_weights: ClassWeights = Field(
        "none",
        description="weigh classes by the inverse of their frequency at the party, or by a number "
        "for each, in their order",
    )
    positive_weight: float | None = Field(
        None, gt=0, description="two classes: weight of the second one's part of the loss"
    )
    focal_gamma: float | None = Field(
        None, ge=0, le=100, description="focal loss: the loss times (1 - p)^gamma of the true class"
    )
    augment: Literal["none", "flip"] = Field(
        "none", description="random changes of training images"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 autocast on a GPU, float32 otherwise"
    )
    channels_last: Literal["auto", "on", "off"] = Field(
        "auto", description="memory layout; auto: on where bfloat16 is used"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU where present")
    ties: Literal["efron", "breslow"] = Field(
        "efron", description="cox: how events at the same time share a risk set"
    )
    cox_mean: Literal["events", "patients"] = Field(
        "events", description="cox: what a batch's loss is divided by"
    )
    threads: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="CPU threads; by default half of the logical cores, beside a GPU 1",
    )

    @field_validator("freeze", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [value] if isinstance(value, dict) else value

    @field_validator("class_weights", mode="before")
    @classmethod
    def _word_or_numbers(cls, value: object) -> object:
        if isinstance(value, list | tuple) and value and all(map(_is_weight, value)):
            return tuple(map(float, value))
        if value not in ("none", "balanced"):
            raise ValueError("write none, balanced, or a list of one number above 0 per class")
        return value

    @field_validator("betas")
    @classmethod
    def _below_one(cls, betas: tuple[float, float]) -> tuple[float, float]:
        if not all(0 <= one < 1 for one in betas):
            raise ValueError("write two numbers from 0 to below 1")
        return betas

    @model_validator(mode="before")
    @classmethod
    def _as_torch_has_it(cls, content: object) -> object:
        """Write out what an optimiser's own defaults are where nobody says it."""
        if not isinstance(content, dict) or not isinstance(content.get("optimizer"), str):
            return content
        return {**DEFAULTS.get(content["optimizer"], {}), **content}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            both = f"momentum is {self.momentum:g} and dampening {self.dampening:g}"
            remedy = f"give it a momentum above 0 and no dampening: {both}"
            raise misfit("nesterov", self.nesterov, remedy)
        self._require_schedule()
        self._require_loss()
        if self.penalised != "all" and not (self.l1 or self.l2 or self.weight_decay):
            remedy = "nothing is penalised: give l1, l2 or weight_decay, or leave it out"
            raise misfit("penalised", self.penalised, remedy)
        if self.warmup_rounds and self.warmup_steps:
            remedy = f"give one of the two: warmup_rounds is {self.warmup_rounds}"
            raise misfit("warmup_steps", self.warmup_steps, remedy)
        return self

    def _require_loss(self) -> None:
        if self.positive_weight is not None and self.class_weights != "none":
            remedy = f"give one of the two: class_weights is {self.class_weights}"
            raise misfit("positive_weight", self.positive_weight, remedy)
        for field in ("positive_weight", "focal_gamma"):
            if getattr(self, field) is not None and self.label_smoothing:
                remedy = f"{field} is defined for whole labels: leave out one of the two"
                raise misfit("label_smoothing", self.label_smoothing, remedy)

    def _require_schedule(self) -> None:
        if (self.schedule == "multistep") != bool(self.milestones):
            remedy = "give them together with schedule: multistep, or neither"
            raise misfit("milestones", self.milestones, f"{remedy}: schedule is {self.schedule}")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise misfit("milestones", self.milestones, "write each round once, ascending")
        if self.schedule in ("step", "multistep") and self.schedule_unit == "step":
            remedy = f"schedule {self.schedule} counts rounds: write round or leave it out"
            raise misfit("schedule_unit", self.schedule_unit, remedy)

    @property
    def carries(self) -> bool:
        """Whether a party carries something at home from each round to the next."""
        return self.loader == "continuing" or self.optimizer_state == "kept"


def _is_weight(value: object) -> bool:
    """Whether it is a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 < value < math.inf
