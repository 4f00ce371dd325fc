"""The task file's section `training`: what a party does inside a round."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedcore.config.base import Section


class TrainingSection(Section):
    """How a party trains inside a round."""

    optimizer: Literal["sgd", "adam", "adamw"] = Field("adam", description="re-created every round")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd")
    weight_decay: float = Field(0.0, ge=0, description="L2 regularisation (decoupled in adamw)")
    schedule: Literal["constant", "step", "cosine", "onecycle"] = Field(
        "constant", description="course of the learning rate over the whole training"
    )
    step_rounds: int = Field(10, ge=1, description="rounds between two steps of schedule step")
    step_factor: float = Field(0.1, gt=0, le=1, description="factor of each step of schedule step")
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="weigh classes by the inverse of their frequency at the party"
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
        None, ge=1, le=1024, description="CPU threads; by default half of the logical cores"
    )
