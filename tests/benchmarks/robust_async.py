"""Do robust strategies hold against hostile hospitals, and does not waiting save time?

    python tests/benchmarks/robust_async.py [--seeds 3] [--rounds 6] [--size 28] [--folder WORK]
    python tests/benchmarks/robust_async.py --quick      # to see that all of it runs; no page

Run by hand; it writes docs/results-robust-async.md. With --folder an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import async_arms
import robust_arms
from robust_async_page import READING, sections
from typed import options, typed

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
PAGE = ROOT / "docs" / "results-robust-async.md"
Job = Callable[[], Any]


def main() -> None:
    """Train what is not trained yet, print and write the page."""
    args = _arguments()
    with tempfile.TemporaryDirectory(prefix="robust-async-") as scratch:
        folder = args.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        jobs = dict(_jobs(args))
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            done = pool.map(partial(_kept, folder), jobs.keys(), jobs.values())
            found = dict(zip(jobs, done, strict=True))
        page = folder / "quick.md" if args.quick else PAGE
        text = "\n".join(sections(found, args.seeds, args.rounds, args.size))
        old = page.read_text(encoding="utf-8") if page.exists() else ""
        page.write_text(f"{text}\n{READING}{old.partition(READING)[2]}", encoding="utf-8")
        print(text)


def _jobs(args: argparse.Namespace) -> Iterator[tuple[str, Job]]:
    """Name -> what is to be trained, for every seed."""
    for seed in range(args.seeds):
        for strategy in robust_arms.STRATEGIES:
            for attack in robust_arms.ATTACKS:
                job = partial(_robust, args.shared, args.size, strategy, attack, args.rounds, seed)
                yield f"robust/{strategy}/{attack.name}/{seed}", job
        for setting in async_arms.SETTINGS:
            for arm in async_arms.ARMS:
                job = partial(_async, args.shared, args.size, setting, arm, seed)
                yield f"async/{setting}/{arm.name}/{seed}", job


def _robust(
    shared: Path, size: int, strategy: str, attack: robust_arms.Attack, rounds: int, seed: int
) -> float:
    images = robust_arms.hospitals(shared, size, seed)
    return robust_arms.final_auroc(images, strategy, attack, rounds, seed)


def _async(
    shared: Path, size: int, setting: str, arm: async_arms.Arm, seed: int
) -> async_arms.Curve:
    return async_arms.curve(async_arms.hospitals(shared, setting, size, seed), arm, seed)


def _kept(folder: Path, name: str, job: Job) -> Any:
    """What the job gives, kept in the work folder; as kept where it ran before."""
    path = folder / f"{name.replace('/', '--').replace(' ', '-')}.json"
    if not path.exists():
        path.write_text(json.dumps(job()), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def _arguments() -> argparse.Namespace:
    parser = options(__doc__, seeds=3, rounds=6, size=28)
    parser.add_argument("--folder", type=Path, help="work folder, kept; default: a temporary one")
    parser.add_argument("--shared", type=Path, default=SHARED, help="where the radiographs lie")
    return typed(parser, seeds=1, rounds=1, size=16)


if __name__ == "__main__":
    main()
