"""How fast images come: the cohort's first and later epochs against decoding in every epoch.

    python tests/benchmarks/loaders.py [--images 48] [--size 224] [--epochs 3] [--syntaxes ...]

Writes radiographs of 1024 x 1024 pixels as DX files in several transfer syntaxes into a temporary
folder (real adult chest radiographs where `../shared/data` has them, generated ones besides) and
prints images/s, all in one run on one machine. Every way ends in the same normalised float32
batches of 32.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from typed import options

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from fedcore.config import TaskFile  # noqa: E402
from fedcore.data import MedicalImageDataset, open_cohort  # noqa: E402
from fedcore.data.cohort import Cohort  # noqa: E402
from fedcore.data.dataset import IMAGENET_MEAN, IMAGENET_STD, default_transform  # noqa: E402
from fedcore.data.phantom_drawing import draw_anatomy, draw_chest  # noqa: E402
from fedcore.data.phantom_looks import LOOKS, render  # noqa: E402
from fedcore.data.phantoms import CLASSES, Exposure, dicom_file  # noqa: E402

REAL = ROOT.parent / "shared" / "data" / "chest_xray_adults" / "full_1024"
SIDE = 1024
SYNTAXES = ("ExplicitVRLittleEndian", "JPEGLSLossless", "RLELossless", "JPEG2000Lossless")
LOOK = LOOKS["9999"]


def real_images() -> Iterator[np.ndarray]:
    """Real radiographs as 12-bit values."""
    for path in sorted(REAL.glob("*.png")):
        grey = np.asarray(Image.open(path).convert("L"), np.uint16)
        yield np.asarray(grey << 4, np.uint16)


def generated_images(seed: int) -> Iterator[np.ndarray]:
    """Phantoms as 12-bit values, without end."""
    rng = np.random.default_rng(seed)
    while True:
        yield render(draw_chest(draw_anatomy(rng), rng.random() < 0.5, SIDE, rng), LOOK, rng)


def write_files(folder: Path, count: int, syntaxes: tuple[str, ...]) -> int:
    """Write `count` DX files in turn in every transfer syntax; return how many are real images."""
    real, phantoms = list(real_images())[: count // 2], generated_images(0)
    for number in range(count):
        stored = real[number] if number < len(real) else next(phantoms)
        look = replace(LOOK, syntaxes=(syntaxes[number % len(syntaxes)],))
        place = folder / CLASSES[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        exposure = Exposure("bench", number, 0, sick=bool(number % 2))
        (place / exposure.name).write_bytes(dicom_file(stored, exposure, look, 0))
    return len(real)


def task_file(size: int) -> TaskFile:
    """All images are for training."""
    return TaskFile.model_validate(
        {
            "task_type": "classification",
            "model": {"input_size": [3, size, size]},
            "federation": {"epochs": 1},
            "data": {"validation": 0, "test": 0},
        }
    )


def cached_epoch(cohort: Cohort, seed: int) -> int:
    """One epoch in random order as normalised batches; returns the number of images."""
    mean, std = (torch.tensor(one).view(1, 3, 1, 1) for one in (IMAGENET_MEAN, IMAGENET_STD))
    order = np.random.default_rng(seed).permutation(len(cohort.train))
    for start in range(0, len(order), 32):
        batch = torch.from_numpy(cohort.train.batch(order[start : start + 32]))
        batch.float().div_(255).sub_(mean).div_(std)
    return len(order)


def plain_epoch(dataset: MedicalImageDataset) -> int:
    """One epoch that decodes every file."""
    return sum(len(labels) for _, labels in DataLoader(dataset, batch_size=32, shuffle=True))


def rate(epoch: Callable[[], int]) -> float:
    """Images per second of one epoch."""
    begin = time.perf_counter()
    images = epoch()
    return images / (time.perf_counter() - begin)


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, images=48, size=224, epochs=3)
    parser.add_argument("--syntaxes", nargs="+", default=SYNTAXES)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder, state = Path(place, "data"), Path(place, "state")
        real = write_files(folder, given.images, tuple(given.syntaxes))
        print(
            f"{given.images} DX files of {SIDE} x {SIDE} ({real} real), {', '.join(given.syntaxes)}"
        )
        dataset = MedicalImageDataset(folder, default_transform(given.size))
        task = task_file(given.size)
        plain = max(rate(lambda: plain_epoch(dataset)) for _ in range(2))
        first = rate(lambda: cached_epoch(open_cohort(folder, task, state), 0))
        reopened = rate(lambda: cached_epoch(open_cohort(folder, task, state), 1))
        cohort = open_cohort(folder, task, state)
        later = np.median([rate(lambda: cached_epoch(cohort, 2)) for _ in range(given.epochs)])
    for name, value in (
        ("plain loader, decodes every epoch (better of two)", plain),
        ("cohort, first epoch with empty cache", first),
        ("cohort, first epoch after a restart", reopened),
        ("cohort, later epochs (median)", float(later)),
    ):
        print(f"{name:52s} {value:9.1f} images/s   {value / plain:7.1f} x plain")


if __name__ == "__main__":
    main()
