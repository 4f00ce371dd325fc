"""Is federated training worth it on real radiographs? Local, pooled and federated, side by side.

    python tests/benchmarks/real_xrays.py [--size 64] [--rounds 8] [--images 240] [--seeds 3]
    python tests/benchmarks/real_xrays.py --quick      # a few minutes, writes no page

Run by hand; the federated trainings go through the project's own command. DICOM files, caches and
models lie in a work folder outside the repository; with --folder an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from typed import options, typed
from xray_arms import ARMS, ROOT, Trained, cohort_of, prepare, train
from xray_hospitals import HOSPITALS, Splits, allot, looks, write_hospital
from xray_scores import ask, require_agreement
from xray_table import Results, write_page

from fedcore.data import Cohort

SHARED = ROOT.parent / "shared" / "data"
PAGE = ROOT / "docs" / "results-real-xrays.md"


def main() -> None:
    """Train, score, print and write the page."""
    args = _arguments()
    results = Results(
        size=args.size,
        rounds=args.rounds,
        seeds=args.seeds,
        images=args.images,
        cores=os.cpu_count() or 1,
        command=" ".join(["python tests/benchmarks/real_xrays.py", *_typed(sys.argv[1:])]),
        note=args.note,
    )
    with tempfile.TemporaryDirectory(prefix="real-xrays-") as scratch:
        folder = (args.folder or Path(scratch)).resolve()
        for seed in range(args.seeds):
            _one_seed(folder / f"{args.size}px-{args.images}-{args.rounds}-{seed}", seed, results)
        page = folder / "quick.md" if args.quick else PAGE
        print(write_page(page, results))


def _one_seed(work: Path, seed: int, results: Results) -> None:
    """All arms on one draw of patients."""
    work.mkdir(parents=True, exist_ok=True)
    task = prepare(work, results.size, results.rounds, seed)
    hospitals = allot(SHARED, results.images, seed)
    for party, splits in hospitals.items():
        write_hospital(work / "hospitals" / party, splits, looks()[party], seed)
    cohorts = {party: cohort_of(work, party) for party in HOSPITALS}
    _require_all(hospitals, cohorts)
    results.hospitals.append(hospitals)
    for arm, trained in zip(ARMS, _train_all(work), strict=True):
        if arm.federated:
            require_agreement(task, arm, trained, cohorts)
        answers = ask(task, trained.weights, cohorts)
        results.add(arm, trained, answers)
        aurocs = " ".join(f"{name} {answers[party].auroc:.3f}" for party, name in HOSPITALS.items())
        print(f"seed {seed}, {arm.name}: {aurocs} ({trained.seconds:.0f} s)", flush=True)


def _train_all(work: Path) -> list[Trained]:
    """The arms of one process side by side, then the federated ones, which have several."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        alone = list(pool.map(partial(train, work), [arm for arm in ARMS if not arm.federated]))
    return [*alone, *(train(work, arm) for arm in ARMS if arm.federated)]


def _require_all(hospitals: dict[str, Splits], cohorts: dict[str, Cohort]) -> None:
    """Every image that was written is used, in the split that was asked for."""
    for party, splits in hospitals.items():
        written = {split: len(found) for split, found in splits.items()}
        used = {split: sum(found.values()) for split, found in cohorts[party].images.items()}
        if written != used:
            raise ValueError(f"party {party}: {written} images written, {used} used")


def _arguments() -> argparse.Namespace:
    parser = options(__doc__, size=64, rounds=8, images=240, seeds=3)
    parser.add_argument("--folder", type=Path, help="work folder, kept; default: a temporary one")
    parser.add_argument("--note", default="", help="a word on the machine, for the page")
    return typed(parser, size=32, rounds=2, images=64, seeds=1)


def _typed(words: list[str]) -> list[str]:
    """The arguments without the work folder, which means nothing on another machine."""
    if "--folder" not in words:
        return [f'"{word}"' if " " in word else word for word in words]
    place = words.index("--folder")
    return _typed(words[:place] + words[place + 2 :])


if __name__ == "__main__":
    main()
