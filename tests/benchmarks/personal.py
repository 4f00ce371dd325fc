"""Does a personal part, a personal model or another modality help the small hospital? By how much?

    python tests/benchmarks/personal.py [--size 28] [--rounds 10] [--images 240] [--seeds 3]
    python tests/benchmarks/personal.py --quick       # a minute, writes no page
    python tests/benchmarks/personal.py --only organs # one table of the page

Run by hand; everything goes through `fedcore.simulation`, which gives the bits of the command.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import personal_data as data
from personal_table import Cell, Results, renew_table, write_page
from typed import options, typed

from fedcore.config import TaskFile
from fedcore.data.cohort import Cohort
from fedcore.metrics import Scores
from fedcore.simulation import World, simulate_cohorts

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
PAGE = ROOT / "docs" / "results-personal.md"
CLASSES = ("NORMAL", "PNEUMONIA")
FEW = {"batch_size": 8, "local_epochs": 3}
ORGANS = ("AbdomenCT", "BreastMRI", "CXR", "ChestCT", "Hand", "HeadCT")


@dataclass(frozen=True)
class Arm:
    """A way to train: the federation's settings, on whom, and which scores count."""

    name: str
    parties: tuple[str, ...]
    federation: Mapping[str, object] = field(default_factory=dict)
    shown: str = "best"
    apart: bool = False

    def with_(self, federation: Mapping[str, object]) -> Arm:
        """The arm with settings that a whole table has."""
        return replace(self, federation={**federation, **self.federation})


ALL = ("A", "B", "C")
XRAY_ARMS = (
    *(Arm(f"{party} alone", (party,)) for party in ALL),
    Arm("fedavg", ALL),
    Arm("fedprox, mu 0.1", ALL, {"strategy": "fedprox", "mu": 0.1}),
    Arm("fedbn", ALL, {"strategy": "fedbn"}),
    Arm("batch_norm: local", ALL, {"batch_norm": "local"}),
    Arm("fedper", ALL, {"strategy": "fedper"}),
    Arm("fedrep, head_epochs 1", ALL, {"strategy": "fedrep", "head_epochs": 1}),
    Arm("ditto, lam 0.1", ALL, {"strategy": "ditto", "lam": 0.1}, "personal"),
    Arm("ditto, lam 1", ALL, {"strategy": "ditto", "lam": 1.0}, "personal"),
    Arm("fedavg, then finetune_epochs 5", ALL, {"finetune_epochs": 5}, "personal"),
)


def main() -> None:
    """Train, score, print and write the page."""
    args = _arguments()
    results = Results(
        size=args.size,
        rounds=args.rounds,
        images=args.images,
        seeds=args.seeds,
        command=" ".join(["python tests/benchmarks/personal.py", *sys.argv[1:]]),
    )
    begun = time.monotonic()
    for seed in range(args.seeds):
        for name in [args.only] if args.only else TABLES:
            TABLES[name](args, seed, results)
    results.seconds = time.monotonic() - begun
    with tempfile.TemporaryDirectory() as scratch:
        page = Path(scratch) / "quick.md" if args.quick else PAGE
        renewed = args.only and not args.quick
        print(renew_table(page, results) if renewed else write_page(page, results))


def _xrays(args: argparse.Namespace, seed: int, results: Results) -> None:
    """Label skew between A and B, another population at C."""
    chosen = data.xrays(SHARED, args.images, seed)
    size = (1, args.size, args.size)
    cohorts = {name: data.cohort(one, CLASSES, size) for name, one in chosen.items()}
    results.note("xrays", cohorts)
    for arm in XRAY_ARMS:
        results.add("xrays", arm.name, _run(args, arm, seed, cohorts, {}, len(CLASSES)))


def _ultrasound(args: argparse.Namespace, seed: int, results: Results) -> None:
    """Does a hospital with radiographs help one with few ultrasound clips, and the other way?"""
    sizes = {"xray": (1, args.size, args.size), "us": (3, args.size + 16, args.size + 16)}
    radiographs = data.xrays(SHARED, args.images, seed)
    chosen = {"xray": radiographs["A"], "us": data.ultrasound(SHARED, seed)}
    _modalities("ultrasound", args, seed, results, chosen, sizes, CLASSES, {})


def _organs(args: argparse.Namespace, seed: int, results: Results) -> None:
    """Few images of six kinds from CT, MR and radiography."""
    kinds = {"ct": "CT", "xray": "CR", "mr": "MR"}
    sizes = dict.fromkeys(kinds, (1, args.size, args.size))
    chosen = {name: data.few_of_each(SHARED, kind, 6, seed) for name, kind in kinds.items()}
    _modalities("organs", args, seed, results, chosen, sizes, ORGANS, FEW)


def _modalities(
    table: str,
    args: argparse.Namespace,
    seed: int,
    results: Results,
    chosen: Mapping[str, data.Chosen],
    sizes: Mapping[str, tuple[int, int, int]],
    classes: tuple[str, ...],
    federation: Mapping[str, object],
) -> None:
    """Each modality alone, with encoders apart, and pressed into one size and one network."""
    every = tuple(chosen)
    own = {name: data.cohort(one, classes, sizes[name]) for name, one in chosen.items()}
    small = (1, args.size, args.size)
    same = {name: data.cohort(one, classes, small) for name, one in chosen.items()}
    results.note(table, own)
    for name in every:
        if len({one.label for one in chosen[name]["train"]}) < 2:
            continue  # alone there is nothing to tell apart
        arm = Arm(f"{name} alone", (name,), apart=True)
        cells = _run(args, arm.with_(federation), seed, own, sizes, len(classes))
        results.add(table, arm.name, cells)
    for arm, cohorts in (
        (Arm("cross-modal: an encoder each", every, apart=True), own),
        (Arm("cross-modal, head at home", every, {"strategy": "fedper"}, apart=True), own),
        (Arm("one network, one size (fedavg)", every), same),
        (Arm("one network, one size (fedbn)", every, {"strategy": "fedbn"}), same),
    ):
        cells = _run(args, arm.with_(federation), seed, cohorts, sizes, len(classes))
        results.add(table, arm.name, cells)


TABLES = {"xrays": _xrays, "ultrasound": _ultrasound, "organs": _organs}


def _run(
    args: argparse.Namespace,
    arm: Arm,
    seed: int,
    cohorts: Mapping[str, Cohort],
    sizes: Mapping[str, tuple[int, int, int]],
    num_classes: int,
) -> dict[str, Cell]:
    """One training; the test scores of each of its parties."""
    model: dict[str, object] = {
        "name": "cnn",
        "input_size": [1, args.size, args.size],
        "num_classes": num_classes,
    }
    if arm.apart:
        model["modalities"] = {name: {"input_size": sizes[name]} for name in sizes}
    task = TaskFile.model_validate(
        {
            "task_type": "classification",
            "seed": seed,
            "model": model,
            "federation": {"epochs": args.rounds, "batch_size": 32, "lr": 0.001, **arm.federation},
            "training": {"threads": 1, "device": "cpu"},
            "data": {"min_reported": 1, "min_patients": 1},
        }
    )
    chosen = {name: cohorts[name] for name in arm.parties}
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        modalities = {name: name for name in arm.parties} if arm.apart else {}
        outcome = simulate_cohorts(task, chosen, World(Path(folder)), modalities=modalities)
    seconds = time.monotonic() - begun
    cells = {}
    for party, found in outcome.end.scores[arm.shown].items():
        scores = Scores.from_json(found)
        cells[party] = Cell(scores.auroc, scores.accuracy, scores.loss)
    said = " ".join(f"{party} {cell.auroc:.3f}" for party, cell in cells.items())
    print(f"seed {seed}, {arm.name}: {said} ({seconds:.0f} s)", flush=True)
    return cells


def _arguments() -> argparse.Namespace:
    parser = options(__doc__, size=28, rounds=10, images=240, seeds=3)
    parser.add_argument("--only", choices=TABLES, help="one table; the page keeps the others")
    return typed(parser, size=16, rounds=2, images=32, seeds=1)


if __name__ == "__main__":
    main()
