"""`policy.yaml`: what a hospital lets run on its data, and what may leave. It alone decides.

Every field has a default: a policy without a line asks a person about every training.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from fedcore.config.base import Section, validate
from fedcore.config.federation import STRATEGIES
from fedcore.config.reading import parse_yaml, read_text
from fedcore.errors import PolicyError, nearest

__all__ = ["EVERYTHING", "TEMPLATE", "Leaving", "Policy", "Transfer", "load_policy"]

HEX = re.compile(r"[0-9a-f]{64}")
WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
Metric = Literal["loss", "accuracy", "scores", "statistics"]
METRICS: tuple[Metric, ...] = ("loss", "accuracy", "scores", "statistics")


class Leaving(Section):
    """What may leave the hospital in a training that is allowed to run."""

    update: bool = Field(
        True, description="whether what was learned may leave; without it no training can run"
    )
    metrics: tuple[Metric, ...] = Field(
        METRICS,
        description="numbers that may leave: loss and accuracy of the training, "
        "scores (counts and histograms) of global models on validation and test patients, "
        "statistics (counts, means, deviations and histograms) of the data before a training",
    )
    local_model: bool = Field(
        False,
        description="whether the other hospitals may receive what the network learned here alone, "
        "to score it on their patients (evaluation.cross_site)",
    )
    min_reported: int = Field(
        5,
        ge=1,
        le=10**9,
        description="numbers over fewer patients stay here; the stricter of this and the "
        "task file's data.min_reported holds",
    )

    def allows(self, metric: Metric, patients: int, agreed: int) -> bool:
        """Whether a number over `patients` may leave where the task file demands `agreed`."""
        return metric in self.metrics and patients >= max(1, agreed, self.min_reported)


# Nobody's policy: what the task file says goes (simulations, and the command that a person types).
EVERYTHING = Leaving(min_reported=1, local_model=True)


class Transfer(Section):
    """When and how fast large objects may travel."""

    window: str | None = Field(
        None, description="hours of this machine's clock in which updates are sent: 22:00-06:00"
    )
    mbit_per_second: float | None = Field(
        None, gt=0, le=1_000_000, description="the most that a transfer takes of the line, Mbit/s"
    )

    @field_validator("window")
    @classmethod
    def _from_to(cls, value: str | None) -> str | None:
        if value is not None:
            found = WINDOW.fullmatch(value)
            if found is None:
                raise ValueError("write it as HH:MM-HH:MM in quotes, such as '22:00-06:00'")
            if found[1] + found[2] == found[3] + found[4]:
                raise ValueError("a window needs some length: leave the field out for all day")
        return value

    @property
    def minutes(self) -> tuple[int, int] | None:
        """Begin and end of the window in minutes after midnight; the end may be before."""
        found = WINDOW.fullmatch(self.window or "")
        if found is None:
            return None
        from_hour, from_minute, to_hour, to_minute = map(int, found.groups())
        return from_hour * 60 + from_minute, to_hour * 60 + to_minute


class Policy(Section):
    """The whole policy file; frozen, checked to the last field."""

    decide: Literal["ask", "accept"] = Field(
        "ask", description="what to do with a training within the bounds: ask a person, or accept"
    )
    task_files: tuple[str, ...] = Field(
        (),
        description="hashes of task files that are accepted without asking if within the bounds",
    )
    coordinators: tuple[str, ...] | None = Field(
        None, description="public keys whose trainings may run; by default the party file's alone"
    )
    models: tuple[str, ...] | None = Field(
        None, description="networks that may be trained; by default any"
    )
    strategies: tuple[str, ...] | None = Field(
        None, description="strategies that may be used; by default any"
    )
    max_rounds: int | None = Field(
        None, ge=1, le=100_000, description="the most rounds that a training may have"
    )
    max_epsilon: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="demand differential privacy: the most privacy loss (epsilon) that a "
        "training may cost a patient; task files cannot promise it yet, so this refuses all",
    )
    secure_aggregation: bool = Field(
        False,
        description="demand that nobody sees this hospital's update by itself; task files cannot "
        "promise it yet, so true refuses all",
    )
    data: tuple[str, ...] | None = Field(
        None,
        description="folders that may be read (with what lies in them), relative to this file; "
        "by default the one of the party file",
    )
    min_cohort: int = Field(
        1, ge=1, le=10**9, description="fewer training patients than this take part in nothing"
    )
    leaving: Leaving = Field(Leaving(), description="what may leave this hospital")
    transfer: Transfer = Field(Transfer(), description="when and how fast large objects travel")

    @field_validator("task_files", "coordinators")
    @classmethod
    def _hexes(cls, values: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for value in values or ():
            if not HEX.fullmatch(value):
                raise ValueError("write each as 64 lower-case hex digits, in quotes")
        return values

    @field_validator("strategies")
    @classmethod
    def _known_strategies(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in names or ():
            if name not in STRATEGIES:
                raise ValueError(f"no such strategy; {nearest(name, STRATEGIES)}")
        return names


def load_policy(path: Path) -> Policy:
    """Read and check a policy file; `PolicyError` names file, field, value and remedy.

    A file without a line is the policy with all defaults.
    """
    content = parse_yaml(read_text(path, "policy file", PolicyError), path, PolicyError)
    return validate(Policy, {} if content is None else content, path, PolicyError)


TEMPLATE = """\
# What this hospital lets run on its data, and what may leave it. Nobody else can change this file,
# and it is asked before anything of a training is run. Take a # away to set what stands behind it.

# A training within the bounds below: ask (it waits until `fedcore party approve RUN`), or accept.
decide: ask

# Task files that are accepted without asking, by their hash (`fedcore party pending` shows it).
task_files: []

# Whose trainings may run. Without a list: the coordinator whose key stands in the party file.
#coordinators: ["<64 hex digits>"]

# The bounds. Without a line, a bound is not set.
#models: [resnet18, densenet121]
#strategies: [fedavg, fedprox]
#max_rounds: 100

# Privacy that must be promised, or the training is refused. Task files cannot promise either yet.
#max_epsilon: 8.0
secure_aggregation: false

# Which data: folders that may be read. Without a list: the one that the party file names.
#data: [/data/chest-xrays]
# Fewer training patients than this take part in nothing.
min_cohort: 1

# What may leave. The update is what the network learned here; without it nothing can be trained.
leaving:
  update: true
  # loss, accuracy: of the training, one number each per round.
  # scores: counts and histograms of global models on validation and test patients.
  # statistics: once before a training, if its task file asks: counts, means, standard deviations
  # and histograms of the data's columns or images.
  metrics: [loss, accuracy, scores, statistics]
  # The last model of this hospital alone, to every other hospital (evaluation.cross_site).
  local_model: false
  # Numbers over fewer patients than this stay here, whatever the task file says.
  min_reported: 5

# When and how fast large objects travel; without a line, always and at full speed.
#transfer:
#  window: "22:00-06:00"
#  mbit_per_second: 20
"""
