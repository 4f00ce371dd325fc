"""Parties of the benchmark of personal and cross-modal learning, as small images in memory.

Real radiographs, ultrasound and CT or MR slices, resized by the pipeline's own preprocessing and
split by patient or clip. Only the network's input is small; nothing is invented.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from xray_hospitals import HOSPITALS, allot

from fedcore.data.cohort import Cohort
from fedcore.data.images import ArrayImages
from fedcore.data.preprocess import Preprocessing

SPLITS = ("train", "validation", "test")
KINDS = ("CT", "MR", "CR")
FOLDS = 3


@dataclass(frozen=True)
class Picture:
    """One published image, whom it shows, and its class."""

    path: Path
    group: str
    label: str


Chosen = Mapping[str, Sequence[Picture]]


def xrays(shared: Path, images: int, seed: int) -> dict[str, Chosen]:
    """A mostly bacterial, B mostly viral, both children; C the few adults."""
    return {
        HOSPITALS[party]: {
            split: [Picture(one.path, one.patient, one.label) for one in found]
            for split, found in splits.items()
        }
        for party, splits in allot(shared, images, seed).items()
    }


def ultrasound(shared: Path, seed: int) -> Chosen:
    """A third of the clips for the test, a sixth of the others for validation, by class."""
    folder = shared / "lung_ultrasound"
    rows = _rows(folder)
    pictures = [
        Picture(folder / row["file"], row["clip"], ("NORMAL", "PNEUMONIA")[int(row["pneumonia"])])
        for row in rows
    ]
    return _folded(pictures, seed)


def few_of_each(shared: Path, kind: str, images: int, seed: int) -> Chosen:
    """`images` of each class of a modality for training, and 60 for the test."""
    folder, rng = shared / "modalities", np.random.default_rng([seed, 7])
    found = defaultdict[str, list[Picture]](list)
    for row in _rows(folder):
        if _kind_of(row["modality"]) == kind:
            picture = Picture(folder / row["file"], row["file"], row["class_name"])
            found[row["class_name"]].append(picture)
    splits: dict[str, list[Picture]] = {split: [] for split in SPLITS}
    sizes = {"train": images, "validation": max(4, images // 4), "test": 60}
    for name in sorted(found):
        queue = [found[name][place] for place in rng.permutation(len(found[name]))]
        for split, size in sizes.items():
            splits[split] += [queue.pop() for _ in range(size)]
    return splits


def cohort(chosen: Chosen, classes: Sequence[str], size: tuple[int, int, int]) -> Cohort:
    """The pictures as a party's cohort."""
    steps = Preprocessing(*size)
    parts = {split: _images(chosen[split], classes, steps) for split in SPLITS}
    return Cohort(
        classes=tuple(classes),
        **parts,
        contract_hash="0" * 64,
        preprocessing_hash=steps.fingerprint(),
        files=sum(map(len, chosen.values())),
        patients=len({one.group for found in chosen.values() for one in found}),
        split_patients={split: parts[split].patients for split in SPLITS},
        images={},
        quarantine={},
        scanners={},
        faults=(),
        notes=(),
        set_aside=(),
    )


def _images(
    pictures: Iterable[Picture], classes: Sequence[str], steps: Preprocessing
) -> ArrayImages:
    found = list(pictures)
    pixels = [steps.apply(_grey(one.path)) for one in found]
    if steps.channels == 3:
        pixels = [np.repeat(one, 3, axis=0) for one in pixels]
    labels = np.array([classes.index(one.label) for one in found], np.int64)
    return ArrayImages(np.stack(pixels), labels, len({one.group for one in found}))


def _grey(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


def _folded(pictures: Sequence[Picture], seed: int) -> Chosen:
    splits: dict[str, list[Picture]] = {split: [] for split in SPLITS}
    rng = np.random.default_rng([0, 3])
    for groups in _by(pictures, lambda one: one.label).values():
        clips = list(_by(groups, lambda one: one.group).values())
        same = [clips[place] for place in rng.permutation(len(clips))]
        rest = [one for place, one in enumerate(same) if place % FOLDS != seed % FOLDS]
        splits["test"] += [one for clip in same[seed % FOLDS :: FOLDS] for one in clip]
        splits["validation"] += [one for clip in rest[::6] for one in clip]
        splits["train"] += [one for n, clip in enumerate(rest) if n % 6 for one in clip]
    return splits


def _by(pictures: Iterable[Picture], word: Callable[[Picture], str]) -> dict[str, list[Picture]]:
    found = defaultdict[str, list[Picture]](list)
    for one in pictures:
        found[word(one)].append(one)
    return dict(sorted(found.items()))


def _kind_of(modality: str) -> str:
    return {"CT": "CT", "MR": "MR"}.get(modality, "CR")


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
