"""The task file's section `federation`: strategy, rounds, and who counts when."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from fedcore.config.base import BatchSize, Section, misfit, sensible_batch
from fedcore.config.robust import ROBUST, least_updates
from fedcore.config.strategy_fields import ADAPTIVE, ASYNCHRONOUS, left_aside
from fedcore.errors import amount, nearest
from fedcore.metrics import METRICS

STRATEGIES = (
    "fedavg",
    "fedavgm",
    *ADAPTIVE,
    "fedprox",
    "fednova",
    "scaffold",
    "fedbn",
    "fedper",
    "fedrep",
    "ditto",
    *ROBUST,
    *ASYNCHRONOUS,
)
# What these strategies add up at a party is a sum of gradients; adaptive optimisers take no such.
SGD_ONLY = ("fednova", "scaffold")
# The pooled value, or the plain average of the parties' own.
SELECTIONS = (*METRICS, *(f"average_{name}" for name in METRICS))
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
    batch_size: BatchSize = Field(
        32, description="images or rows per optimiser step; full: the whole training split"
    )
    lr: float = Field(0.001, gt=0, le=100, description="learning rate at the party, above 0")
    local_epochs: int = Field(
        1, ge=1, le=1000, description="passes over the party's data per round"
    )
    local_steps: int | None = Field(
        None, ge=1, description="optimiser steps per round, in place of local_epochs"
    )
    mu: float = Field(0.01, ge=0, description="weight of FedProx's proximal term")
    server_lr: float | None = Field(
        None,
        gt=0,
        le=100,
        description="learning rate at the coordinator; by default 1, and 0.1 with fedadam, "
        "fedyogi, fedadagrad",
    )
    server_momentum: float = Field(
        0.9, ge=0, lt=1, description="momentum of fedavgm at the coordinator"
    )
    beta1: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="decay of the first moment in fedadam, fedyogi (by default 0.9), "
        "fedadagrad (by default 0)",
    )
    beta2: float = Field(
        0.99, ge=0, le=1, description="decay of the second moment in fedadam, fedyogi"
    )
    tau: float = Field(
        0.001, gt=0, le=100, description="degree of adaptivity of fedadam, fedyogi, fedadagrad"
    )
    initial_v: Literal["tau_squared", "zero"] = Field(
        "tau_squared",
        description="where the second moment of fedadam, fedyogi, fedadagrad begins: at tau^2 as "
        "in the paper, or at 0 as in much published code",
    )
    control: Literal["option_1", "option_2"] = Field(
        "option_2",
        description="scaffold's control variate: the gradient at the global model, or the mean "
        "gradient of the round",
    )
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
    participation: float = Field(
        1.0, gt=0, le=1, description="share of the parties that is drawn and invited in each round"
    )
    quorum: int | None = Field(
        None, ge=1, description="replies a round needs; by default those of all invited parties"
    )
    deadline: float | None = Field(
        None, gt=0, description="seconds a round waits for replies; by default without end"
    )
    late: Literal["discard", "next_round"] = Field(
        "discard", description="a reply after the deadline: lost, or counted in the next open round"
    )
    hostile: int = Field(
        1, ge=0, le=10_000, description="how many parties a robust strategy must withstand"
    )
    selected: int | None = Field(
        None, ge=1, description="updates multi_krum averages; by default all but hostile + 2"
    )
    max_norm: float | None = Field(
        None, gt=0, description="norm of norm_clipping; by default the round's median norm"
    )
    buffer_size: int | None = Field(
        None, ge=1, description="replies that close a round of fedbuff; by default 2"
    )
    staleness_exponent: float = Field(
        0.5, ge=0, le=100, description="a of the weight (1 + t)^-a of an update t rounds old"
    )
    max_staleness: int | None = Field(
        None, ge=0, description="a late update older than so many rounds is refused"
    )
    mixing: float = Field(
        0.6, gt=0, le=1, description="share of a fresh party's model in fedasync's next one"
    )
    combining: Literal["flat", "tree"] = Field(
        "flat",
        description="how updates are added up: all by the coordinator, or in groups whose sums it "
        "adds up (hierarchical aggregation)",
    )
    group_size: int | None = Field(
        None,
        ge=1,
        le=5_000,
        description="parties of a group with combining: tree; by default so many that adding up "
        "the groups costs as much as one of them",
    )
    select_by: str = Field("auroc", description="the validation metric that names the best round")
    early_stopping: EarlyStopping | None = Field(None, description="stop without improvement")

    _sensible_batch = field_validator("batch_size", mode="before")(sensible_batch)

    @field_validator("strategy")
    @classmethod
    def _known_strategy(cls, name: str) -> str:
        if name not in STRATEGIES:
            raise ValueError(f"no such strategy; {nearest(name, STRATEGIES)}")
        return name

    @field_validator("select_by")
    @classmethod
    def _known_metric(cls, name: str) -> str:
        if name not in SELECTIONS:
            raise ValueError(f"no such metric; {nearest(name, SELECTIONS)}")
        return name

    @model_validator(mode="before")
    @classmethod
    def _late_counts(cls, content: object) -> object:
        """What is late to one round of an asynchronous strategy counts in the next."""
        if isinstance(content, dict) and content.get("strategy") in ASYNCHRONOUS:
            return {"late": "next_round", **content}
        return content

    @model_validator(mode="after")
    def _every_field_counts(self) -> Self:
        for field, remedy in left_aside(self.model_dump()):
            value = getattr(self, field)
            if value != type(self).model_fields[field].default:
                raise misfit(field, value, remedy)
        return self

    @model_validator(mode="after")
    def _asynchronous_fits(self) -> Self:
        if self.buffer is None:
            return self
        if self.late == "discard":
            remedy = f"{self.strategy} lives on late updates; write next_round or leave it out"
            raise misfit("late", self.late, remedy)
        if self.strategy == "fedasync" and self.buffer_size not in (None, 1):
            remedy = "fedasync takes one reply at a time; choose fedbuff or leave it out"
            raise misfit("buffer_size", self.buffer_size, remedy)
        if self.quorum is not None and self.quorum > self.buffer:
            closing = amount(self.buffer, "reply", "replies")
            remedy = f"a round closes with {closing}; demand at most so many"
            raise misfit("quorum", self.quorum, remedy)
        if self.participation < 1:
            remedy = f"{self.strategy} waits for nobody, so it invites all parties: leave it at 1"
            raise misfit("participation", self.participation, remedy)
        return self

    @model_validator(mode="after")
    def _quorum_withstands(self) -> Self:
        if self.quorum is not None and self.quorum < self.least_updates:
            needed = amount(self.least_updates, "update")
            remedy = f"{self.strategy} needs {needed}; demand at least so many"
            raise misfit("quorum", self.quorum, remedy)
        return self

    @property
    def buffer(self) -> int | None:
        """How many replies close a round; `None` where all parties are waited for."""
        sizes = {"fedbuff": self.buffer_size or 2, "fedasync": 1}
        return sizes.get(self.strategy)

    def seats(self, members: int) -> int:
        """How many of so many parties a round invites: the share of them, and at least one.

        The max(C K, 1) of FedAvg (McMahan et al. 2017, algorithm 1), to the nearest whole number;
        a half counts as one.
        """
        share = Decimal(str(self.participation)) * members
        return max(1, int(share.to_integral_value(ROUND_HALF_UP)))

    def group_of(self, parties: int) -> int:
        """How many of a round's parties are one group of the tree.

        With g in a group, a group adds up g updates and the coordinator N / g sums of twice the
        bytes; both are the same at g = sqrt(2 N), rounded up.
        """
        return self.group_size or math.isqrt(max(2 * parties - 1, 0)) + 1

    def images_per_round(self, images: int) -> int:
        """How many images a party that has `images` trains on in a round, repeats counted."""
        if self.local_steps is not None:
            return self.local_steps * (images if self.batch_size == "full" else self.batch_size)
        return self.local_epochs * images

    @property
    def least_updates(self) -> int:
        """How many updates a round needs for what the strategy promises."""
        if self.strategy == "norm_clipping" and self.max_norm is not None:
            return 1
        return least_updates(self.strategy, self.hostile, self.selected)

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
