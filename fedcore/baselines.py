"""What a federation is measured against: each party alone, and all data pooled in one place.

Both are federations of a single party, so they have the same network, initial weights, optimiser,
rounds and passes as the federation: what differs is whose images are trained on. Pooling is
possible where all data lies on one machine, as in a study; between hospitals it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedcore.config.base import validate
from fedcore.config.task import TaskFile
from fedcore.data.cohort_record import Cohort
from fedcore.data.joined import joined
from fedcore.errors import TaskFileError, problem
from fedcore.metrics import AnyScores
from fedcore.models.catalogue import build
from fedcore.params import Params
from fedcore.simulation import Outcome, World, simulate_cohorts
from fedcore.training.evaluation import evaluate, withhold

POOLED = "pooled"
# The fields of `federation` that say how one party trains; a test holds every field to a side.
OF_ONE = (
    "epochs",
    "batch_size",
    "lr",
    "local_epochs",
    "local_steps",
    "select_by",
    "early_stopping",
)
# Those that mean nothing, or something else, where one party trains alone.
OF_MANY = (
    *(
        "strategy",
        "mu",
        "server_lr",
        "server_momentum",
        "beta1",
        "beta2",
        "tau",
        "initial_v",
        "control",
    ),
    *("weighting", "batch_norm", "clip_norm", "participation", "quorum", "deadline", "late"),
    *("hostile", "selected", "max_norm"),
    *("buffer_size", "staleness_exponent", "max_staleness", "mixing"),
    *("head_epochs", "lam", "finetune_epochs"),
)


@dataclass(frozen=True)
class Baseline:
    """A training without others, and what its best model scores on every party's test split.

    A party's scores are `None` where fewer patients than `data.min_reported` stand behind them.
    """

    outcome: Outcome
    tests: Mapping[str, AnyScores | None]


def local_only(
    task: TaskFile,
    party: str,
    cohorts: Mapping[str, Cohort],
    world: World,
    weights: Path | None = None,
) -> Baseline:
    """Train at `party` alone, from `weights` if given; test at every party of `cohorts`.

    Raises what `simulate_cohorts` raises.
    """
    outcome = train_alone(task, party, cohorts[party], world, weights)
    return Baseline(outcome, score_everywhere(task, outcome.best, cohorts))


def pooled(
    task: TaskFile, cohorts: Mapping[str, Cohort], world: World, weights: Path | None = None
) -> Baseline:
    """Train on the union of all training splits, from `weights` if given; test at every party.

    Raises `DataError` where the parties name their classes differently, and what
    `simulate_cohorts` raises.
    """
    outcome = train_alone(task, POOLED, joined(cohorts), world, weights)
    return Baseline(outcome, score_everywhere(task, outcome.best, cohorts))


def train_alone(
    task: TaskFile, name: str, cohort: Cohort, world: World, weights: Path | None = None
) -> Outcome:
    """A federation whose one party is `name`: its rounds, its best round by its own validation."""
    return simulate_cohorts(alone(task), {name: cohort}, world, weights=weights)


def alone(task: TaskFile) -> TaskFile:
    """The task file for one party: same rounds and local training, and nothing of a federation.

    The strategy becomes fedavg, whose mean of one update is that update.
    """
    table = task.data.table
    if table is not None and table.standardise == "federated":
        remedy = "baselines cannot standardise by rows that they do not train on: write party"
        raise TaskFileError(
            problem("the task file", "data.table.standardise", table.standardise, remedy)
        )
    content = task.model_dump(mode="json", exclude_unset=True)
    kept = {name: value for name, value in content["federation"].items() if name in OF_ONE}
    return validate(TaskFile, {**content, "federation": kept}, "task file alone", TaskFileError)


def score_everywhere(
    task: TaskFile, params: Params, cohorts: Mapping[str, Cohort]
) -> dict[str, AnyScores | None]:
    """Score `params` on the test split of every party."""
    network = build(task.model, task.seed, inputs=task.inputs)
    return {
        party: withhold(evaluate(network, params, cohort.test, task), task.data.min_reported)
        for party, cohort in sorted(cohorts.items())
    }
