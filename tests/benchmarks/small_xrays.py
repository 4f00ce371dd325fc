"""Small real radiographs in memory: hospitals of a chosen mix, no patient in two places."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from fedcore.config import TaskFile
from fedcore.data import Cohort
from fedcore.data.images import ArrayImages

CLASSES = ("NORMAL", "PNEUMONIA")
Mix = Mapping[str, int]


def draw(shared: Path, mixes: Mapping[str, Mix], size: int, seed: int) -> dict[str, ArrayImages]:
    """Name -> grey images of `size` pixels: so many of each kind (none, bacteria, virus)."""
    rng = np.random.default_rng([seed, 7])
    queues = {
        kind: [patients[place] for place in rng.permutation(len(patients))]
        for kind, patients in sorted(_by_kind(shared / "chest_xray_children").items())
    }
    return {name: _take(queues, mix, size) for name, mix in mixes.items()}


def flipped(images: ArrayImages) -> ArrayImages:
    """The same images, each with the other class."""
    return ArrayImages(images.pixels, 1 - images.labels, images.patients)


def cohort(train: ArrayImages, held: ArrayImages) -> Cohort:
    """A hospital that validates and tests on `held`."""
    counts = {
        split: {name: int((one.labels == place).sum()) for place, name in enumerate(CLASSES)}
        for split, one in (("train", train), ("validation", held), ("test", held))
    }
    digest = hashlib.sha256(train.pixels.tobytes() + train.labels.tobytes()).hexdigest()
    return Cohort(
        classes=CLASSES,
        train=train,
        validation=held,
        test=held,
        contract_hash=digest,
        preprocessing_hash=digest,
        files=len(train) + len(held),
        patients=train.patients + held.patients,
        split_patients={"train": train.patients, "validation": held.patients},
        images=counts,
        quarantine={},
        scanners={},
        faults=(),
        notes=(),
        set_aside=(),
    )


def task_file(size: int, seed: int, **federation: object) -> TaskFile:
    """The task of these hospitals."""
    return TaskFile.model_validate(
        {
            "task_type": "classification",
            "name": "small-xrays",
            "seed": seed,
            "model": {"name": "cnn", "input_size": [1, size, size], "num_classes": 2},
            "federation": {"batch_size": 32, "lr": 0.003, **federation},
            "training": {"threads": 1},
        }
    )


def auroc(chance: np.ndarray, truth: np.ndarray) -> float:
    """Area under the ROC curve, ties counted half."""
    ill, well = chance[truth == 1, None], chance[None, truth == 0]
    return float(((ill > well) + 0.5 * (ill == well)).mean())


def _by_kind(folder: Path) -> dict[str, list[list[Path]]]:
    """Kind -> patients -> their files; of images with the same pixels the first."""
    seen: set[str] = set()
    patients: dict[tuple[str, str], list[Path]] = defaultdict(list)
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["pixel_md5"] not in seen:
                seen.add(row["pixel_md5"])
                patients[row["subtype"], row["patient"]].append(folder / row["file"])
    kinds: dict[str, list[list[Path]]] = defaultdict(list)
    for (kind, _), found in sorted(patients.items()):
        kinds[kind].append(found)
    return kinds


def _take(queues: Mapping[str, list[list[Path]]], mix: Mix, size: int) -> ArrayImages:
    """One image of each patient, so that all images are independent."""
    found = [
        (queues[kind].pop()[0], int(kind != "none"))
        for kind, count in sorted(mix.items())
        for _ in range(count)
    ]
    pixels = np.stack([_grey(path, size) for path, _ in found])[:, None]
    return ArrayImages(pixels, np.array([label for _, label in found], np.int64), len(found))


def _grey(path: Path, size: int) -> np.ndarray:
    with Image.open(path) as image:
        grey = image.convert("L").resize((size, size), Image.Resampling.BILINEAR)
        return np.asarray(grey, np.uint8)
