"""What a federation is measured against: each party alone, and all data pooled in one place.

Both are federations of a single party, so they have the same network, initial weights, optimiser,
rounds and passes as the federation: what differs is whose data is trained on. Pooling is
possible where all data lies on one machine, as in a study; between hospitals it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from fedcore.config.base import validate
from fedcore.config.columns import level_of
from fedcore.config.overriding import overridden
from fedcore.config.task import TaskFile
from fedcore.data.cohort_record import Cohort
from fedcore.data.images import ImageSet
from fedcore.data.joined import joined
from fedcore.data.table_set import TableRows
from fedcore.encoding.scaling import Scaling, federated_scaling
from fedcore.errors import TaskFileError, problem
from fedcore.metrics import AnyScores
from fedcore.models.catalogue import build
from fedcore.params import Params
from fedcore.simulation import Outcome, World, simulate_cohorts
from fedcore.statistics import pool_columns
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
    *("combining", "group_size"),
)


@dataclass(frozen=True)
class Baseline:
    """A training without others, and what its best model scores on every party's test split.

    A party's scores are `None` where fewer patients than `data.min_reported` stand behind them, and
    where it has another modality.
    """

    outcome: Outcome
    tests: Mapping[str, AnyScores | None]


@dataclass(frozen=True)
class Given:
    """What a training may have beside its data, as `simulate_cohorts` takes it."""

    weights: Path | None = None
    public: Cohort | None = None
    modalities: Mapping[str, str] = field(default_factory=dict)


NOTHING = Given()


def local_only(
    task: TaskFile,
    party: str,
    cohorts: Mapping[str, Cohort],
    world: World,
    given: Given = NOTHING,
) -> Baseline:
    """Train at `party` alone; test at every party of `cohorts` that has the same modality.

    With `standardise: federated` each party's rows are standardised by its own. Raises what
    `simulate_cohorts` raises.
    """
    own = _standardised(task, cohorts, together=False)
    outcome = train_alone(task, party, own[party], world, given)
    return Baseline(outcome, score_everywhere(task, outcome.best, own, given.modalities, party))


def pooled(
    task: TaskFile, cohorts: Mapping[str, Cohort], world: World, given: Given = NOTHING
) -> Baseline:
    """Train on the union of all training splits; test at every party.

    With `standardise: federated` all rows are standardised by those of all, as in the federation.
    Raises `TaskFileError` for images of several modalities, `DataError` where the parties name
    their classes differently, and what `simulate_cohorts` raises.
    """
    if task.model.modalities:
        remedy = "their images differ in size: there is nothing to pool"
        raise TaskFileError(
            problem("the task file", "model.modalities", sorted(task.model.modalities), remedy)
        )
    alike = _standardised(task, cohorts, together=True)
    outcome = train_alone(task, POOLED, joined(alike), world, given)
    return Baseline(outcome, score_everywhere(task, outcome.best, alike))


def train_alone(
    task: TaskFile, name: str, cohort: Cohort, world: World, given: Given = NOTHING
) -> Outcome:
    """A federation whose one party is `name`: its rounds, its best round by its own validation."""
    modalities = {name: given.modalities[name]} if name in given.modalities else {}
    return simulate_cohorts(
        alone(task),
        {name: cohort},
        world,
        weights=given.weights,
        public=given.public,
        modalities=modalities,
    )


def alone(task: TaskFile) -> TaskFile:
    """The task file for one party: same rounds and local training, and nothing of a federation.

    The strategy becomes fedavg, whose mean of one update is that update. What is standardised
    by all parties' rows is so by those that there are.
    """
    content = task.model_dump(mode="json", exclude_unset=True)
    kept = {name: value for name, value in content["federation"].items() if name in OF_ONE}
    changed = {**content, "federation": kept}
    if _by_all(task):
        changed = overridden(changed, "data.table.standardise", "party")
    return validate(TaskFile, changed, "task file alone", TaskFileError)


def score_everywhere(
    task: TaskFile,
    params: Params,
    cohorts: Mapping[str, Cohort],
    modalities: Mapping[str, str] = MappingProxyType({}),
    trained_at: str = "",
) -> dict[str, AnyScores | None]:
    """Score `params` on the test split of every party.

    Nothing is known of a party of another modality than that of the one that trained: what it
    would see with was never trained.
    """
    mine = modalities.get(trained_at)
    seen = task.seen_by(mine)
    network = build(task.model, task.seed, modality=mine, inputs=task.inputs)
    return {
        party: withhold(evaluate(network, params, cohort.test, seen), task.data.min_reported)
        if modalities.get(party) == mine
        else None
        for party, cohort in sorted(cohorts.items())
    }


def _by_all(task: TaskFile) -> bool:
    return task.data.table is not None and task.data.table.pools_statistics


def _standardised(
    task: TaskFile, cohorts: Mapping[str, Cohort], *, together: bool
) -> Mapping[str, Cohort]:
    """The cohorts as `standardise: federated` means it: by all rows together, or each by its own.

    Nothing is withheld for it, since nothing leaves the place where the baseline trains.
    """
    table = task.data.table
    if table is None or not _by_all(task):
        return cohorts
    told = {
        party: [column.summary(1) for column in cohort.columns(level_of(task))]
        for party, cohort in cohorts.items()
    }
    known = {party: told.values() if together else [told[party]] for party in cohorts}
    return {
        party: _scaled(cohort, federated_scaling(table, pool_columns(known[party]))[0])
        for party, cohort in cohorts.items()
    }


def _scaled(cohort: Cohort, scaling: Scaling) -> Cohort:
    return replace(
        cohort,
        train=_under(scaling, cohort.train),
        validation=_under(scaling, cohort.validation),
        test=_under(scaling, cohort.test),
    )


def _under(scaling: Scaling, rows: ImageSet) -> ImageSet:
    return rows.scaled(scaling) if isinstance(rows, TableRows) else rows
