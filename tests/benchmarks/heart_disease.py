"""Four real hospitals and one small table: pooled, local and federated, side by side.

    python tests/benchmarks/heart_disease.py [--seeds 5] [--rounds 20] [--strategies fedavg,fedprox]

The task file is configs/heart_disease.yaml; each seed draws another split of the patients,
stratified by class, other batches and other initial weights. Writes docs/results-heart-disease.md.
"""

from __future__ import annotations

import csv
import random
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path

from typed import options

from fedcore.config import load_task_file
from fedcore.config.federation import STRATEGIES
from fedcore.config.task import TaskFile
from fedcore.data import open_cohort
from fedcore.metrics import Scores, pool, read_scores
from fedcore.models.catalogue import build
from fedcore.simulation import Outcome, World, simulate
from fedcore.training.evaluation import evaluate

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data" / "heart_disease"
PAGE = ROOT / "docs" / "results-heart-disease.md"
HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")
WISHED = ("fedavg", "fedprox", "scaffold", "fedadam", "fedyogi", "fedadagrad")
# What a strategy needs besides its name.
SETTINGS: dict[str, dict[str, float]] = {
    "fedprox": {"mu": 0.1},
    "fedadam": {"server_lr": 0.1},
    "fedyogi": {"server_lr": 0.1},
    "fedadagrad": {"server_lr": 0.1},
}
ByHospital = dict[str, Scores]
INTRODUCTION = """\
# Heart disease at four hospitals

    {command}

The task file is `configs/heart_disease.yaml`: logistic regression with one logit, {rounds} rounds
of 50 steps, batches of 4, SGD, standardised by each hospital's own training rows. Mean and standard
deviation over {seeds} seeds; a seed draws the split (34 % of each class for the test), the batches
and the initial weights. `pooled` is one party with all rows, standardised together, that takes as
many steps as all four; `local` is each hospital alone. All numbers are of the last model on test
patients.
"""
NOTES = """\
`average` is the plain mean over hospitals, `pooled score` counts every patient once. In Switzerland
45 of 46 usable patients are ill, so there is no AUROC and the accuracy says little.

Data: Janosi, Steinbrunn, Pfisterer, Detrano, Heart Disease, UCI Machine Learning Repository,
doi:10.24432/C52P4X, CC BY 4.0.
"""


def main() -> None:
    """Train all arms on all seeds and write the page."""
    parser = options(__doc__, seeds=5, rounds=20)
    known = ",".join(name for name in WISHED if name in STRATEGIES)
    parser.add_argument("--strategies", default=known)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--note", default="", help="what the numbers say, for the page")
    args = parser.parse_args()
    names = args.strategies.split(",")
    found: dict[str, list[ByHospital]] = defaultdict(list)
    for seed in range(args.seeds):
        with tempfile.TemporaryDirectory(prefix="heart-disease-") as scratch:
            for arm, scores in one_seed(Path(scratch), seed, args.rounds, names).items():
                found[arm].append(scores)
        print(f"seed {seed}: {', '.join(found)}", flush=True)
    command = f"python tests/benchmarks/heart_disease.py --seeds {args.seeds}"
    args.page.write_text(
        page(found, f"{command} --rounds {args.rounds}", args.rounds, args.note), "utf-8"
    )
    print(args.page.read_text("utf-8"))


def one_seed(work: Path, seed: int, rounds: int, names: list[str]) -> dict[str, ByHospital]:
    """Every arm on one split of the patients."""
    folders, pooled = lay_out(work, seed)
    task = task_of(seed, rounds)
    arms = {"pooled": pooled_scores(work, task, folders, pooled), "local": {}}
    for name, folder in folders.items():
        alone = simulate(task, {name: folder}, World(work / "local"), run=f"local-{name}")
        arms["local"] |= said(alone)
    for name in names:
        changed = {"strategy": name, **SETTINGS.get(name, {})}
        arms[name] = said(simulate(with_federation(task, changed), folders, World(work / name)))
    return arms


def lay_out(work: Path, seed: int) -> tuple[dict[str, Path], Path]:
    """A folder per hospital, one with all files, and the same split beside each table."""
    rows = [row for name in HOSPITALS for row in split_of(name, seed)]
    folders = {name: work / "data" / name for name in (*HOSPITALS, "all")}
    for folder, names in ((folders[one], (one,)) for one in HOSPITALS):
        fill(folder, names, rows)
    fill(folders["all"], HOSPITALS, rows)
    return {name: folders[name] for name in HOSPITALS}, folders["all"]


def fill(folder: Path, names: tuple[str, ...], rows: list[tuple[str, int, str]]) -> None:
    """The files of some hospitals as they lie, and the file of splits."""
    folder.mkdir(parents=True)
    for name in names:
        source = SHARED / f"processed.{name}.data"
        (folder / source.name).write_bytes(source.read_bytes())
    with (folder / "splits.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "row", "split"), *rows])


def split_of(name: str, seed: int) -> list[tuple[str, int, str]]:
    """A third of each class for the test, drawn with the seed; numbered by row of the file."""
    file = f"processed.{name}.data"
    lines = (SHARED / file).read_text().split()
    numbers = random.Random(f"{seed} {name}").sample(range(1, len(lines) + 1), len(lines))
    split = {}
    for ill in (False, True):
        ours = [one for one in numbers if (lines[one - 1].split(",")[-1] != "0") == ill]
        usable = [one for one in ours if "?" not in ",".join(lines[one - 1].split(",")[:10])]
        tested = set(usable[: round(len(usable) * 0.34)])
        split |= {one: "test" if one in tested else "train" for one in ours}
    return [(file, number, split[number]) for number in sorted(split)]


def task_of(seed: int, rounds: int) -> TaskFile:
    """The project's own task file with another seed and the splits from a file."""
    content = load_task_file(ROOT / "configs" / "heart_disease.yaml").model_dump(mode="json")
    content["seed"] = seed
    content["federation"]["epochs"] = rounds
    content["training"]["threads"] = 1
    content["data"]["table"] |= {"split": "file", "split_file": "splits.csv"}
    return TaskFile.model_validate(content)


def with_federation(task: TaskFile, changed: dict[str, object]) -> TaskFile:
    """The task with some fields of `federation` changed."""
    content = task.model_dump(mode="json")
    content["federation"] |= changed
    return TaskFile.model_validate(content)


def said(outcome: Outcome) -> ByHospital:
    """The final model's test scores, as each hospital gave them."""
    scores = outcome.end.scores["final"]
    return {party: read_scores(one) for party, one in scores.items() if one}


def pooled_scores(work: Path, task: TaskFile, folders: dict[str, Path], place: Path) -> ByHospital:
    """One party that has all rows and takes as many steps as all four together."""
    steps = len(HOSPITALS) * (task.federation.local_steps or 1)
    task = with_federation(task, {"local_steps": steps})
    final = simulate(task, {"all": place}, World(work / "pooled")).final
    scaling = open_cohort(place, task, work / "cache").train.scaling
    network = build(task.model, task.seed, inputs=task.inputs)
    found = {}
    for name, folder in folders.items():
        test = open_cohort(folder, task, work / "cache").test.scaled(scaling)
        found[name] = evaluate(network, final, test, task)
    return found


def page(found: dict[str, list[ByHospital]], command: str, rounds: int, note: str = "") -> str:
    """The results as a page."""
    seeds = len(next(iter(found.values())))
    parts = [INTRODUCTION.format(command=command, rounds=rounds, seeds=seeds)]
    for title, metric in (("Accuracy", "accuracy"), ("AUROC", "auroc")):
        parts += [f"## {title}\n", *table(found, metric), ""]
    return "\n".join([*parts, *([f"{note}\n"] if note else []), NOTES])


def table(found: dict[str, list[ByHospital]], metric: str) -> list[str]:
    """A row per arm, a column per hospital, their plain average, and all patients together."""
    columns = (*HOSPITALS, "average", "pooled score")
    lines = [f"| arm | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for arm, seeds in found.items():
        cells = [shown([one[name].value(metric) for one in seeds]) for name in HOSPITALS]
        cells.append(shown([average(one, metric) for one in seeds]))
        cells.append(shown([pool(one.values()).value(metric) for one in seeds]))
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return lines


def average(scores: ByHospital, metric: str) -> float:
    """The plain mean over the hospitals where it is defined."""
    return statistics.fmean(
        value for one in scores.values() if (value := one.value(metric)) == value
    )


def shown(values: list[float]) -> str:
    """Mean and spread of what is defined."""
    known = [value for value in values if value == value]
    if not known:
        return "-"
    spread = statistics.stdev(known) if len(known) > 1 else 0.0
    return f"{statistics.fmean(known):.3f} ± {spread:.3f}"


if __name__ == "__main__":
    main()
