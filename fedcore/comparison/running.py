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
from fedcore.comparison import result
from fedcore.comparison.plan import Cell, Comparison
from fedcore.comparison.result import CellResult, Round
from fedcore.comparison.workshop import PREPARED, Workshop, prepared
from fedcore.data.cohort import open_cohort
from fedcore.data.cohort_record import Cohort
from fedcore.data.intake import Progress
from fedcore.errors import RunMismatch
from fedcore.exchange.folder import FolderStore
from fedcore.rounds.messages import Record
from fedcore.simulation import Outcome, World, simulate_cohorts

Hear = Callable[[Record], None]
Tests = Mapping[str, Mapping[str, Any] | None]


def prepare(
    comparison: Comparison,
    workshop: Workshop,
    progress: Callable[[str], Progress],
    workers: int = 1,
) -> dict[str, dict[str, int | str]]:
    """Read and preprocess every party's data; what was found, by party id.

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
    for party, one in now.items():
        if party in before and before[party]["contract"] != one["contract"]:
            raise RunMismatch(
                f"party {party}: its data changed since the comparison began: put it back, or "
                "choose another --output"
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
    outcome, tests = _train(comparison, cell, cohorts, World(bench, store, on_record=hear))
    done = CellResult(
        cell=cell,
        task_hash=comparison.task_of(cell).fingerprint(),
        code_version=fedcore.__version__,
        rounds=tuple(map(Round.of, outcome.records)),
        best_round=outcome.end.best_round,
        reason=outcome.end.reason,
        tests={party: dict(one) if one else None for party, one in tests.items()},
    )
    result.keep(workshop.output, done)
    shutil.rmtree(bench, ignore_errors=True)
    return done


def _train(
    comparison: Comparison, cell: Cell, cohorts: Mapping[str, Cohort], world: World
) -> tuple[Outcome, Tests]:
    task = comparison.task_of(cell)
    weights = Path(comparison.weights) if comparison.weights else None
    if cell.kind == "federated":
        guest = comparison.guest
        outcome = simulate_cohorts(task, cohorts, world, guest=guest, weights=weights)
        return outcome, outcome.end.scores["best"]
    if cell.party is not None:
        done = baselines.local_only(task, cell.party, cohorts, world, weights)
    else:
        done = baselines.pooled(task, cohorts, world, weights)
    return done.outcome, {
        party: scores.to_json() if scores else None for party, scores in done.tests.items()
    }


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
        comparison.task,
        workshop.cache(party),
        progress=progress,
        workers=workers,
        frozen=workshop.cache(party) / "frozen",
    )


def _described(cohort: Cohort) -> dict[str, int | str]:
    return {
        "contract": cohort.contract_hash,
        "patients": cohort.patients,
        "images": sum(cohort.class_counts.values()),
        "test_images": len(cohort.test),
        "set_aside": len(cohort.set_aside),
    }
