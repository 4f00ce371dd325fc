"""What do the codecs cost in AUROC on real radiographs? Paired by seed with float32.

    python tests/benchmarks/codec_auroc.py [--size 28] [--rounds 40] [--images 240] [--seeds 5]
    python tests/benchmarks/codec_auroc.py --quick    # to see that all of it runs

Run by hand; with --write the table goes into docs/codecs.md, below the mark of so many rounds. With
--folder an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import personal_data as data
from typed import options, typed
from xray_hospitals import CLASSES
from xray_scores import Answers, join

from fedcore.config import TaskFile
from fedcore.config.update import CODECS
from fedcore.data import Cohort
from fedcore.exchange import codec
from fedcore.models.catalogue import build
from fedcore.params import Params
from fedcore.rounds import sealed
from fedcore.simulation import Outcome, World, simulate_cohorts
from fedcore.training.evaluation import predict

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
PAGE = ROOT / "docs" / "codecs.md"
# The AUROC of one round goes up and down by chance: a mean over these many is compared.
WINDOW = 5
EARLY = 10
# A codec has come as far as float32 in the end when this little is missing.
NEAR = 0.01
ARMS: Mapping[str, Mapping[str, object]] = {
    "`float32`": {"codec": "float32"},
    "`bfloat16`": {"codec": "bfloat16"},
    "`int8`": {"codec": "int8"},
    "`bfloat16`, `model: step`": {"codec": "bfloat16", "model": "step"},
    "`int8`, `model: step`": {"codec": "int8", "model": "step"},
    "`topk`, `share: 0.1`": {"codec": "topk", "share": 0.1},
    "`topk`, `share: 0.01`": {"codec": "topk", "share": 0.01},
}
COLUMNS = (
    "codec",
    "bytes up",
    "bytes down",
    "kept model",
    "minus `float32`",
    "last 5 rounds",
    "minus `float32`",
    "rounds 6 to 10, minus `float32`",
    "as far as `float32`",
)


@dataclass(frozen=True)
class Course:
    """A training: the test AUROC after each round, the round that was kept, and its bytes.

    Those of one party in one round, on average.
    """

    aurocs: list[float]
    best_round: int
    bytes_up: float
    bytes_down: float

    @property
    def kept(self) -> float:
        """The AUROC of the model that the validation images chose."""
        return self.aurocs[self.best_round - 1]

    def mean_until(self, number: int) -> float:
        """The mean over the rounds that end with this one; of a short training over what it has."""
        return float(np.mean(self.aurocs[max(0, number - WINDOW) : number]))

    @property
    def end(self) -> float:
        """The mean over the last rounds."""
        return self.mean_until(len(self.aurocs))

    def first_round(self, goal: float) -> int | None:
        """The first round whose mean reached the goal, if one did."""
        numbers = range(WINDOW, len(self.aurocs) + 1)
        return next((number for number in numbers if self.mean_until(number) >= goal), None)


Found = Mapping[str, list[Course]]


def main() -> None:
    """Train what is not trained yet, print the table and put it into the page."""
    args = _arguments()
    with tempfile.TemporaryDirectory(prefix="codec-auroc-") as scratch:
        folder = args.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            jobs = [(arm, seed) for seed in range(args.seeds) for arm in args.arms]
            done = dict(zip(jobs, pool.map(partial(_kept, args, folder), jobs), strict=True))
    found = {arm: [done[arm, seed] for seed in range(args.seeds)] for arm in args.arms}
    table = "".join(rows(found))
    print(table)
    if args.write:
        _write(f"<!-- auroc {args.rounds} -->\n", table)


def rows(found: Found) -> Iterator[str]:
    """The table, a line for each codec."""
    yield f"| {' | '.join(COLUMNS)} |\n" + "|---" * len(COLUMNS) + "|\n"
    exact = found["`float32`"]
    for arm, courses in found.items():
        pairs = list(zip(courses, exact, strict=True))
        cells = [
            arm,
            _size(np.mean([one.bytes_up for one in courses])),
            _size(np.mean([one.bytes_down for one in courses])),
            _spread([one.kept for one in courses]),
            _apart([one.kept - other.kept for one, other in pairs]),
            _spread([one.end for one in courses]),
            _apart([one.end - other.end for one, other in pairs]),
            _apart([one.mean_until(EARLY) - other.mean_until(EARLY) for one, other in pairs]),
            _rounds([one.first_round(other.end - NEAR) for one, other in pairs]),
        ]
        yield f"| {' | '.join(cells)} |\n"


def _size(count: float) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def _spread(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ± {_deviation(values):.3f}"


def _apart(differences: list[float]) -> str:
    if not any(differences):
        return "0"
    return f"{np.mean(differences):+.3f} ± {_deviation(differences):.3f}"


def _deviation(values: list[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def _rounds(reached: list[int | None]) -> str:
    there = [one for one in reached if one is not None]
    return f"round {np.mean(there):.0f} ({len(there)} of {len(reached)})" if there else "never"


def _kept(args: argparse.Namespace, folder: Path, job: tuple[str, int]) -> Course:
    """The course of a codec and a seed, kept in the work folder; as kept where it ran before."""
    arm, seed = job
    name = "-".join(str(one) for one in ARMS[arm].values())
    path = folder / f"{args.model}-{args.size}px-{args.images}-{args.rounds}-{seed}-{name}.json"
    if not path.exists():
        chosen = data.xrays(args.shared, args.images, seed)
        size = (1, args.size, args.size)
        cohorts = {name: data.cohort(one, CLASSES, size) for name, one in chosen.items()}
        course = _course(_task(args, seed, ARMS[arm]), cohorts)
        path.write_text(json.dumps(asdict(course)), encoding="utf-8")
        print(f"seed {seed}, {arm}: {' '.join(f'{one:.3f}' for one in course.aurocs)}", flush=True)
    return Course(**json.loads(path.read_text(encoding="utf-8")))


def _task(args: argparse.Namespace, seed: int, update: Mapping[str, object]) -> TaskFile:
    model = {"name": args.model, "input_size": [1, args.size, args.size], "num_classes": 2}
    return TaskFile.model_validate(
        {
            "task_type": "classification",
            "seed": seed,
            "model": model,
            "federation": {"epochs": args.rounds, "batch_size": 32, "lr": 0.001},
            "update": update,
            "training": {"threads": 1, "device": "cpu"},
            "data": {"min_reported": 1, "min_patients": 1},
        }
    )


def _course(task: TaskFile, cohorts: Mapping[str, Cohort]) -> Course:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        outcome = simulate_cohorts(task, cohorts, world)
        aurocs = [
            _auroc(task, codec.decode(sealed.fetch(world.store, record.model)), cohorts)
            for record in outcome.records
        ]
    up, down = (_bytes(outcome, name) / len(cohorts) for name in ("bytes_up", "bytes_down"))
    return Course(aurocs, outcome.end.best_round, up, down)


def _bytes(outcome: Outcome, name: str) -> float:
    return float(np.mean([getattr(record, name) for record in outcome.records]))


def _auroc(task: TaskFile, params: Params, cohorts: Mapping[str, Cohort]) -> float:
    """On the test images of all hospitals in one list."""
    network = build(task.model, task.seed)
    said = [
        Answers(one.test.labels, predict(network, params, one.test, task).probabilities[:, 1])
        for one in cohorts.values()
    ]
    return join(said).auroc


def _write(mark: str, table: str) -> None:
    """Put the table where the old one stands: between the mark and the next empty line."""
    before, found, after = PAGE.read_text("utf-8").partition(mark)
    if not found:
        raise ValueError(f"{PAGE}: {mark.strip()} is missing")
    _, _, rest = after.partition("\n\n")
    PAGE.write_text(f"{before}{mark}{table}\n{rest}", "utf-8")


def _arguments() -> argparse.Namespace:
    parser = options(__doc__, size=28, rounds=40, images=240, seeds=5)
    parser.add_argument("--model", default="cnn", choices=["cnn", "resnet18"])
    said = "these and float32; default: all"
    parser.add_argument("--codecs", nargs="+", choices=CODECS, default=CODECS, help=said)
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    parser.add_argument("--folder", type=Path, help="work folder, kept; default: a temporary one")
    parser.add_argument("--shared", type=Path, default=SHARED, help="where the radiographs lie")
    args = typed(parser, size=16, rounds=2, images=32, seeds=1)
    args.arms = [arm for arm in ARMS if ARMS[arm]["codec"] in ("float32", *args.codecs)]
    return args


if __name__ == "__main__":
    main()
