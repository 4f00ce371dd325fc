"""The task file's section `federation`: strategy, rounds, and who counts when."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from fedcore.config.base import Section, misfit
from fedcore.errors import nearest

STRATEGIES = ("fedavg", "fedprox", "fedbn", "fedper", "fedrep", "ditto")
METRICS = ("accuracy", "auroc", "loss")
Part = Literal["norms", "statistics", "head"]
# What each strategy leaves at the party; the others share the whole network.
STAYS_HOME: dict[str, Part] = {"fedbn": "norms", "fedper": "head", "fedrep": "head"}


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
    head_epochs: int = Field(
        10, ge=1, le=1000, description="fedrep: passes that train the head alone, before the body"
    )
    lam: float = Field(
        0.1, ge=0, description="ditto: how strongly the personal model is drawn to the global one"
    )
    finetune_epochs: int = Field(
        0,
        ge=0,
        le=1000,
        description="after the end, passes of each party over its own data from the best model; "
        "what comes of it stays there",
    )
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

    @model_validator(mode="after")
    def _one_personal_model(self) -> Self:
        if self.strategy == "ditto" and self.finetune_epochs:
            remedy = "ditto makes personal models already: leave it at 0"
            raise misfit("finetune_epochs", self.finetune_epochs, remedy)
        return self

    @property
    def kept_home(self) -> frozenset[Part]:
        """The parts of the network that never leave a party."""
        parts: set[Part] = {"statistics"} if self.batch_norm == "local" else set()
        if self.strategy in STAYS_HOME:
            parts.add(STAYS_HOME[self.strategy])
        return frozenset(parts)

    @property
    def personal(self) -> bool:
        """Whether each party has a model of its own beside the global one."""
        return self.strategy == "ditto" or self.finetune_epochs > 0
