"""Ten epochs from folders of DICOM files, the first with an empty cache, beside the plain loader.

For `local_training.py`. The plain loader is a torch `Dataset` that decodes and transforms every
image in every epoch. Ours reads, checks and decodes every file once, files that cannot be used
included, and then takes its batches from the mapped cache. Both end in the same normalised batches.
"""

from __future__ import annotations

import csv
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from loaders import SYNTAXES, cached_epoch, plain_epoch, write_files
from loaders import task_file as all_for_training

from fedcore.config.task import TaskFile
from fedcore.data import MedicalImageDataset, open_cohort
from fedcore.data.cohort import Cohort
from fedcore.data.dataset import default_transform
from fedcore.models.catalogue import build
from fedcore.models.state import to_params
from fedcore.training.local import train_round

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "dicom"
UNCOMPRESSED = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2")
SIDE, EPOCHS, WRITTEN = 224, 10, 128
HEAD = """\
| files | images | decoding | plain, s | ours, s | of that the first | ratio | with training |
|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Epochs:
    """Our seconds for ten epochs, of that for the first, and what came of it."""

    seconds: float
    first: float
    cohort: Cohort


def rows() -> Iterator[str]:
    """One row per kind of folder and number of decoding processes."""
    torch.set_num_threads(1)
    for words, given in (("of many kinds, as they lie", None), ("uncompressed", UNCOMPRESSED)):
        with real_files(given) as folder:
            yield from rows_of(f"real test files, {words}", folder, (1,))
    for words, syntaxes in (("four syntaxes", SYNTAXES), ("uncompressed", SYNTAXES[:1])):
        with tempfile.TemporaryDirectory(prefix="epochs-") as name:
            write_files(Path(name), WRITTEN, syntaxes)
            yield from rows_of(f"radiographs, {words}", Path(name), (1, 2))


def rows_of(words: str, folder: Path, workers: Collection[int]) -> Iterator[str]:
    """One row per number of workers; plain loader and training are measured for one epoch."""
    task = task_file()
    found = {count: ten_epochs(folder, task, count) for count in workers}
    cohort = found[1].cohort
    aside = [one.path for one in cohort.set_aside]
    dataset = MedicalImageDataset(folder, default_transform(SIDE), exclude=aside)
    plain = EPOCHS * seconds_of(lambda: plain_epoch(dataset))
    training = EPOCHS * trained(cohort, task)
    for count, ours in found.items():
        ratios = (plain / ours.seconds, (plain + training) / (ours.seconds + training))
        times = f"{count} | {plain:.1f} | {ours.seconds:.1f} | {ours.first:.1f}"
        yield f"| {words} | {len(dataset)} | {times} | {ratios[0]:.1f} | {ratios[1]:.2f} |\n"


@contextmanager
def real_files(syntaxes: Collection[str] | None) -> Iterator[Path]:
    """The folder of real files, or one that links to those of the given transfer syntaxes."""
    if syntaxes is None:
        yield REAL
        return
    with tempfile.TemporaryDirectory(prefix="epochs-") as name:
        with (REAL / "manifest.csv").open(newline="", encoding="utf-8") as file:
            chosen = [
                one["file"] for one in csv.DictReader(file) if one["transfer_syntax"] in syntaxes
            ]
        for path in chosen:
            link = Path(name) / path
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(REAL / path)
        yield Path(name)


def task_file() -> TaskFile:
    """All images are for training, however many files cannot be used."""
    task = all_for_training(SIDE)
    data = task.data.model_copy(update={"max_quarantined": 1.0})
    training = task.training.model_copy(update={"threads": 1})
    return task.model_copy(update={"data": data, "training": training})


def ten_epochs(folder: Path, task: TaskFile, workers: int) -> Epochs:
    """From an empty cache."""
    with tempfile.TemporaryDirectory(prefix="epochs-state-") as state:
        begun = time.perf_counter()
        cohort = open_cohort(folder, task, Path(state), workers=workers)
        cached_epoch(cohort, 0)
        first = time.perf_counter() - begun
        for epoch in range(1, EPOCHS):
            cached_epoch(cohort, epoch)
        return Epochs(time.perf_counter() - begun, first, cohort)


def trained(cohort: Cohort, task: TaskFile) -> float:
    """Seconds of one epoch of training, from the cache."""
    network = build(task.model, 0)
    start = to_params(network)
    return seconds_of(
        lambda: train_round(network, start, cohort.train, task, party_id="1", number=1)
    )


def seconds_of(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun
