"""The neutral work in `fedcore.simulation`: `python ours.py PARTIES ROUNDS EXCHANGE MARKS`.

The exchange is `memory`, `folder`, or `lasting`: a folder that is to survive a power cut.

Two functions are replaced in this process, and nothing else: the loop over batches gives a
perturbed model at once, and scoring gives constant counts. All around them is a real training:
invitations, updates and scores, signed, hashed, checked, written once, in everybody's ledger.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from neutral import mark, model, require_rounds
from neutral_task import SIDE, task_file
from neutral_work import IMAGES, scored_at_once, trained_at_once

from fedcore.data.cohort_record import Cohort
from fedcore.data.images import ArrayImages
from fedcore.exchange.folder import FolderStore
from fedcore.exchange.memory import MemoryStore
from fedcore.exchange.store import ObjectStore
from fedcore.rounds.party import scoring, training
from fedcore.simulation import Outcome, World, simulate_cohorts

CLASSES = ("NORMAL", "PNEUMONIA")


def cohort(party: int) -> Cohort:
    """A party's few images, which nobody looks at."""
    images = ArrayImages(np.zeros((IMAGES, 3, SIDE, SIDE), np.uint8), _labels(), IMAGES)
    splits = ("train", "validation", "test")
    return Cohort(
        classes=CLASSES,
        train=images,
        validation=images,
        test=images,
        contract_hash=f"{party:064x}",
        preprocessing_hash="0" * 64,
        files=3 * IMAGES,
        patients=3 * IMAGES,
        split_patients=dict.fromkeys(splits, IMAGES),
        images={one: dict.fromkeys(CLASSES, IMAGES // 2) for one in splits},
        quarantine={},
        scanners={},
        faults=(),
        notes=(),
        set_aside=(),
    )


def run(parties: int, rounds: int, exchange: str, marks: Path, folder: Path) -> Outcome:
    """All rounds; a mark when the first begins, and one when each has ended."""
    training.train_round, scoring.evaluate = trained_at_once, scored_at_once
    store = _store(exchange, folder / "exchange")
    store.prepare()
    world = World(folder, store, on_record=lambda _: mark(marks))
    cohorts = {str(number): cohort(number) for number in range(1, parties + 1)}
    mark(marks)
    return simulate_cohorts(task_file(rounds), cohorts, world)


def _store(exchange: str, folder: Path) -> ObjectStore:
    if exchange == "memory":
        return MemoryStore(keeps=False)
    return FolderStore(folder, lasting=exchange == "lasting", keeps=False)


def _labels() -> np.ndarray:
    return np.arange(IMAGES) % 2


def main() -> None:
    parties, rounds, exchange, marks = sys.argv[1:5]
    with tempfile.TemporaryDirectory(prefix="neutral-") as folder:
        outcome = run(int(parties), int(rounds), exchange, Path(marks), Path(folder))
    require_rounds(outcome.final, int(rounds))
    if {name: one.shape for name, one in outcome.final.items()} != {
        name: one.shape for name, one in model().items()
    }:
        sys.exit("neutral.py: the arrays are not those of resnet18: correct its shapes")


if __name__ == "__main__":
    main()
