"""Three hospitals with a few dozen real chest radiographs each, as DICOM folders."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))

from xray_hospitals import A, B, C, Splits, allot, looks, write_hospital  # noqa: E402

from fedcore.config.task import TaskFile  # noqa: E402

PARTIES = (A, B, C)
IMAGES = {"train": 24, "validation": 8, "test": 8}
ROUNDS = 6


def three_hospitals(shared: Path, folder: Path) -> dict[str, Path]:
    """Party id -> folder; two hospitals for children, one for adults, no patient in two of them."""
    for party, splits in allot(shared, 2 * IMAGES["train"], seed=0).items():
        write_hospital(folder / party, _few(splits), looks()[party], seed=0)
    return {party: folder / party for party in PARTIES}


def task() -> TaskFile:
    """Six rounds of a small network on 28 pixels."""
    return TaskFile.model_validate(
        {
            "task_type": "classification",
            "name": "xrays-apart",
            "model": {"name": "cnn", "input_size": [1, 28, 28], "num_classes": 2},
            "federation": {"strategy": "fedavg", "epochs": ROUNDS, "batch_size": 8, "lr": 0.003},
            "training": {"threads": 1},
            "data": {"min_reported": 1},
        }
    )


def _few(splits: Splits) -> Splits:
    """The first radiographs of each class in each split."""
    return {
        split: [
            one
            for kind in (False, True)
            for one in [found for found in all_of if (found.kind != "none") == kind][
                : IMAGES[split] // 2
            ]
        ]
        for split, all_of in splits.items()
    }
