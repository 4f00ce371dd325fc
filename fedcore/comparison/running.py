"""The work: read the data once for all cells, and train a cell. Needs torch and the data.

Everything of a cell that is under way lies in its own working folder, so a cell that was killed
goes on with the round it was in; the folder is removed when the cell's result is kept.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fedcore
from fedcore import baselines
from fedcore.audit.durable import replace_with
from fedcore.baselines import Given
from fedcore.comparison import result
from fedcore.comparison.plan import Cell, Comparison
from fedcore.comparison.result import CellResult, Round
from fedcore.comparison.workshop import PREPARED, PUBLIC, Workshop, prepared
from fedcore.data.cohort import open_cohort
from fedcore.data.cohort_record import Cohort
from fedcore.data.intake import Progress
from fedcore.errors import RunMismatch
from fedcore.exchange.folder import FolderStore
from fedcore.explain.matrix import PERSONAL
from fedcore.rounds.messages import Record
from fedcore.simulation import Outcome, World, simulate_cohorts
from fedcore.training.pretraining import stage_task

Hear = Callable[[Record], None]
Tests = Mapping[str, Mapping[str, Any] | None]


def prepare(
    comparison: Comparison,
    workshop: Workshop,
    progress: Callable[[str], Progress],
    workers: int = 1,
) -> dict[str, dict[str, int | str]]:
    """Read and preprocess every party's data, and the public images; what was found, by owner.

    The first time freezes what the cells train on: files that come later are left out. Raises
    `DataError` and `ContractBroken` as `open_cohort` does, and `RunMismatch` where data that was
    frozen is no longer as it was.
    """
    for done in result.found(workshop.output, comparison).values():
        # Left by whoever was killed after keeping the result.
        shutil.rmtree(workshop.bench(done.cell), ignore_errors=True)
    before = prepared(workshop)
    now = {
        party: _described(_open(comparison, workshop, party, progress(party), workers))
        for party in sorted(comparison.parties)
    }
    public = _open_public(comparison, workshop, progress(PUBLIC), workers)
    if public is not None:
        now[PUBLIC] = _described(public)
    for owner, one in now.items():
        if owner in before and before[owner]["contract"] != one["contract"]:
            whose = "the public images" if owner == PUBLIC else f"party {owner}: its data"
            raise RunMismatch(
                f"{whose} changed since the comparison began: put it back, or choose another "
                "--output"
            )
    replace_with(workshop.state / PREPARED, [json.dumps(now, indent=1).encode()])
    return now


def run_cell(comparison: Comparison, cell: Cell, workshop: Workshop, hear: Hear) -> CellResult:
    """Train a cell to its end, or go on with it, and keep its result.

    `hear` is told each record. Raises what `simulate_cohorts` raises.
    """
    cohorts = {party: _open(comparison, workshop, party) for party in sorted(comparison.parties)}
    bench = workshop.bench(cell)
    store = FolderStore(bench / "exchange")
    store.prepare()
    given = Given(
        weights=Path(comparison.weights) if comparison.weights else None,
        public=_open_public(comparison, workshop),
        modalities=comparison.modalities,
    )
    outcome, tests = _train(comparison, cell, cohorts, World(bench, store, on_record=hear), given)
    done = CellResult(
        cell=cell,
        task_hash=comparison.task_of(cell).fingerprint(),
        code_version=fedcore.__version__,
        rounds=tuple(map(Round.of, outcome.records)),
        best_round=outcome.end.best_round,
        reason=outcome.end.reason,
        tests=_plain(tests),
        personal=_plain(outcome.end.scores.get(PERSONAL, {})),
    )
    result.keep(workshop.output, done)
    shutil.rmtree(bench, ignore_errors=True)
    return done


def _train(
    comparison: Comparison, cell: Cell, cohorts: Mapping[str, Cohort], world: World, given: Given
) -> tuple[Outcome, Tests]:
    task = comparison.task_of(cell)
    if cell.kind == "federated":
        outcome = simulate_cohorts(
            task,
            cohorts,
            world,
            guest=comparison.guest,
            weights=given.weights,
            public=given.public,
            modalities=given.modalities,
        )
        return outcome, outcome.end.scores["best"]
    if cell.party is not None:
        done = baselines.local_only(task, cell.party, cohorts, world, given)
    else:
        done = baselines.pooled(task, cohorts, world, given)
    return done.outcome, {
        party: scores.to_json() if scores else None for party, scores in done.tests.items()
    }


def _plain(tests: Tests) -> dict[str, dict[str, Any] | None]:
    return {party: dict(one) if one else None for party, one in tests.items()}


def _open(
    comparison: Comparison,
    workshop: Workshop,
    party: str,
    progress: Progress | None = None,
    workers: int = 1,
) -> Cohort:
    """A party's cohort, as the first opening froze it."""
    return open_cohort(
        Path(comparison.parties[party]),
        comparison.seen_task(party),
        workshop.cache(party),
        progress=progress,
        workers=workers,
        frozen=workshop.cache(party) / "frozen",
    )


def _open_public(
    comparison: Comparison,
    workshop: Workshop,
    progress: Progress | None = None,
    workers: int = 1,
) -> Cohort | None:
    """The guest's public images, as the first opening froze them, if the task asks for some."""
    if comparison.public is None:
        return None
    task, place = stage_task(comparison.task), workshop.state / "public"
    folder, frozen = Path(comparison.public), place / "frozen"
    return open_cohort(folder, task, place, progress=progress, workers=workers, frozen=frozen)


def _described(cohort: Cohort) -> dict[str, int | str]:
    return {
        "contract": cohort.contract_hash,
        "patients": cohort.patients,
        "images": sum(cohort.class_counts.values()),
        "test_images": len(cohort.test),
        "set_aside": len(cohort.set_aside),
        "unit": cohort.unit,
    }
