"""The task file's section `federation`: strategy, rounds, and who counts when."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from fedcore.config.base import Section
from fedcore.errors import nearest

STRATEGIES = ("fedavg", "fedprox")
METRICS = ("accuracy", "auroc", "loss", "concordance")


class EarlyStopping(Section):
    """Stop when the watched metric has not improved for some rounds."""

    patience: int = Field(ge=1, le=10_000, description="rounds without improvement before stopping")
    min_delta: float = Field(0.0, ge=0, description="the least change that counts as improvement")


class FederationSection(Section):
    """How the rounds go."""

    strategy: str = Field("fedavg", description="how replies become the next global model")
    epochs: int = Field(50, ge=1, le=100_000, description="number of rounds")
    batch_size: int = Field(32, ge=1, le=65_536, description="images per optimiser step")
    lr: float = Field(0.001, gt=0, le=100, description="learning rate at the party, above 0")
    local_epochs: int = Field(
        1, ge=1, le=1000, description="passes over the party's data per round"
    )
    local_steps: int | None = Field(
        None, ge=1, description="optimiser steps per round, in place of local_epochs"
    )
    mu: float = Field(0.01, ge=0, description="weight of FedProx's proximal term")
    weighting: Literal["patients", "images", "equal"] = Field(
        "patients", description="what a party's update is weighted by"
    )
    batch_norm: Literal["average", "local"] = Field(
        "average", description="BatchNorm's running statistics: averaged, or kept at each party"
    )
    clip_norm: float | None = Field(
        None, gt=0, description="clip each update to this L2 norm; larger ones are refused"
    )
    quorum: int | None = Field(
        None, ge=1, description="replies a round needs; by default all parties'"
    )
    deadline: float | None = Field(
        None, gt=0, description="seconds a round waits for replies; by default without end"
    )
    late: Literal["discard", "next_round"] = Field(
        "discard", description="a reply after the deadline: lost, or counted in the next open round"
    )
    select_by: str = Field("auroc", description="the validation metric that names the best round")
    early_stopping: EarlyStopping | None = Field(None, description="stop without improvement")

    @field_validator("strategy")
    @classmethod
    def _known_strategy(cls, name: str) -> str:
        if name not in STRATEGIES:
            raise ValueError(f"no such strategy; {nearest(name, STRATEGIES)}")
        return name

    @field_validator("select_by")
    @classmethod
    def _known_metric(cls, name: str) -> str:
        if name not in METRICS:
            raise ValueError(f"no such metric; {nearest(name, METRICS)}")
        return name
