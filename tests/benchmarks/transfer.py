"""Does a public stage on children's radiographs help two hospitals with few adults?

    python tests/benchmarks/transfer.py SHARED_DATA WORK

Two hospitals share the adults of NIH ChestX-ray14 whose scanners match between the classes, by
patient. Public images: children's radiographs (Kermany et al.). Writes docs/results-transfer.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from xray_hospitals import A, B, C, Radiograph, Splits, allot

from fedcore.config.task import TaskFile
from fedcore.metrics import Scores, average, pool
from fedcore.simulation import World, simulate

PAGE = Path(__file__).resolve().parents[2] / "docs" / "results-transfer.md"
SEEDS, ROUNDS, PUBLIC = (0, 1, 2), 20, 400
STAGE = {"pretrain": {"epochs": 8}}
ARMS: dict[str, dict[str, dict[str, object]]] = {
    "from scratch": {},
    "public stage": STAGE,
    "public stage, backbone at a tenth of the rate": {**STAGE, "training": {"backbone_lr": 0.1}},
    "public stage, backbone frozen": {**STAGE, "training": {"freeze": {"layers": "backbone"}}},
}
TEXT = """# Transfer: a public stage before the first round

`python tests/benchmarks/transfer.py SHARED_DATA WORK` wrote this page. Two hospitals share
{adults} training radiographs of adults (NIH ChestX-ray14; Wang et al. 2017; rows whose scanners
match between the classes) by patient. The public stage has {public} radiographs of children
(Kermany, Zhang, Goldbaum, doi:10.17632/rscbjbr9sj.2), {passes} passes. The network is `cnn` on
{side} x {side} pixels, fedavg, {rounds} rounds, Adam at 0.001. Test AUROC of the best round (chosen
on validation images), mean over {seeds} seeds and in brackets each; every seed has other children
and another third of the adults for the test, {tests} images.

| start | pooled AUROC | average over the hospitals |
|---|---|---|
{rows}

The labels of the adults were mined from reports and are noisy, the test sets are small, and three
seeds say nothing of differences below about 0.05.
{verdict}
"""


def main() -> None:
    """Run every arm with every seed and write the page."""
    shared, work = Path(sys.argv[1]), Path(sys.argv[2])
    found = {arm: [_run(shared, work, arm, seed) for seed in SEEDS] for arm in ARMS}
    rows = "\n".join(
        f"| {arm} | {_cell(runs, 0)} | {_cell(runs, 1)} |" for arm, runs in found.items()
    )
    splits = allot(shared, PUBLIC, 0)
    text = TEXT.format(
        adults=len(splits[C]["train"]),
        public=2 * PUBLIC,
        passes=STAGE["pretrain"]["epochs"],
        side=32,
        rounds=ROUNDS,
        seeds=len(SEEDS),
        tests=len(splits[C]["test"]),
        rows=rows,
        verdict=_verdict(found),
    )
    PAGE.write_text(text, "utf-8")


def _run(shared: Path, work: Path, arm: str, seed: int) -> tuple[float, float]:
    """Pooled and average test AUROC of the best round's model."""
    place = work / f"seed-{seed}"
    splits = allot(shared, PUBLIC, seed)
    hospitals = {str(n): _write(place / str(n), _half(splits[C], n)) for n in (1, 2)}
    public = {"train": [*splits[A]["train"], *splits[B]["train"]]}
    folder = _write(place / "public", public)
    world = World(place / arm.replace(" ", "-").replace(",", ""))
    outcome = simulate(_task(seed, ARMS[arm]), hospitals, world, public=folder)
    tests = [Scores.from_json(one) for one in outcome.end.scores["best"].values() if one]
    together = pool(tests)
    return (together.auroc if together else float("nan")), average(tests)["auroc"]


def _task(seed: int, arm: Mapping[str, Mapping[str, object]]) -> TaskFile:
    training = {"threads": 1, "class_weights": "balanced", **arm.get("training", {})}
    return TaskFile.model_validate(
        {
            "task_type": "classification",
            "seed": seed,
            "model": {"name": "cnn", "input_size": [1, 32, 32]},
            "federation": {"epochs": ROUNDS, "batch_size": 16, "lr": 0.001},
            **{name: section for name, section in arm.items() if name != "training"},
            "training": training,
        }
    )


def _half(splits: Splits, number: int) -> Splits:
    """Every second patient of each split, by class, for hospital 1 or 2."""
    patients = {
        name: sorted({(one.label, one.patient) for one in found}) for name, found in splits.items()
    }
    mine = {name: {one for _, one in found[number - 1 :: 2]} for name, found in patients.items()}
    return {
        name: [one for one in found if one.patient in mine[name]] for name, found in splits.items()
    }


def _write(folder: Path, splits: Mapping[str, Iterable[Radiograph]]) -> Path:
    """Links to the published files, and a label file beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["file,label,patient,split"]
    for split, found in splits.items():
        for one in found:
            name = f"{one.path.parent.name}-{one.path.name}"
            if not (folder / name).exists():
                (folder / name).write_bytes(one.path.read_bytes())
            rows.append(f"{name},{one.label},{one.patient},{split}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", "utf-8")
    return folder


def _cell(runs: list[tuple[float, float]], which: int) -> str:
    values = [run[which] for run in runs]
    return f"{np.mean(values):.3f} ({', '.join(f'{value:.3f}' for value in values)})"


def _verdict(found: Mapping[str, list[tuple[float, float]]]) -> str:
    means = {arm: float(np.mean([run[0] for run in runs])) for arm, runs in found.items()}
    best = max(means, key=lambda arm: means[arm])
    gain = means[best] - means["from scratch"]
    said = "helps" if gain > 0.05 else "does not help beyond that"
    return f"Highest here: {best}, {gain:+.3f} against from scratch: the stage {said}."


if __name__ == "__main__":
    main()
