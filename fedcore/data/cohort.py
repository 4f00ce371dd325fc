"""A party's cohort: the usable, labelled images of its data folder, split by patient and cached.

`open_cohort` is the one door for training; `survey_folder` gives the same without refusing data
that breaks the contract, for the report that the hospital's engineer reads first.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedcore.audit.durable import replace_with
from fedcore.config import TaskFile
from fedcore.data import contract
from fedcore.data.cache import DEFAULT_LIMIT, PixelCache
from fedcore.data.cohort_record import Cohort
from fedcore.data.given_splits import read_splits, with_named_splits
from fedcore.data.image_columns import ImageColumns
from fedcore.data.images import Labels, Pixels, PixelStatistics, measure_pixels
from fedcore.data.index import open_index
from fedcore.data.intake import Known, Progress, Recipe, image_key, list_files, take_in
from fedcore.data.labels import assign, class_names, declared, open_labels
from fedcore.data.preprocess import Preprocessing
from fedcore.data.samples import Sample, SetAside, give_splits, sort_out
from fedcore.data.splits import SPLITS, Split
from fedcore.errors import ContractBroken, DataError


@dataclass(frozen=True)
class CachedImages:
    """An `ImageSet` over mapped cache shards; grey images are replicated when they are batched."""

    labels: Labels = field(repr=False)
    patients: int
    shape: tuple[int, int, int]
    arrays: tuple[Pixels, ...] = field(repr=False)
    places: npt.NDArray[np.int64] = field(repr=False)
    pixel_statistics: PixelStatistics | None = None

    def __len__(self) -> int:
        """N."""
        return len(self.labels)

    def stored(self, index: int) -> Pixels:
        """One image as it lies in the cache: (C, H, W), or (1, H, W) where it is grey."""
        array, row = self.places[index]
        pixels: Pixels = self.arrays[array][row]
        return pixels

    def batch(self, indices: npt.NDArray[np.int64]) -> Pixels:
        """The images at `indices` as (B, C, H, W) uint8, in that order."""
        out = np.empty((len(indices), *self.shape), np.uint8)
        for target, (array, row) in zip(out, self.places[indices], strict=True):
            target[:] = self.arrays[array][row]
        return out


def open_cohort(
    folder: Path,
    task: TaskFile,
    state: Path,
    *,
    progress: Progress | None = None,
    workers: int = 1,
    cache_limit: int = DEFAULT_LIMIT,
    frozen: Path | None = None,
) -> Cohort:
    """The cohort of `folder`; index and cache live under `state`; `progress` gets (done, files).

    With `frozen`, the contents of the first opening are written there, and later openings use
    those alone: files that arrive during a training are left for the next one.

    Raises `DataError` where folder or labels cannot be used and `ContractBroken` where the usable
    data does not satisfy the task's contract.
    """
    cohort = survey_folder(
        folder,
        task,
        state,
        progress=progress,
        workers=workers,
        cache_limit=cache_limit,
        held=_held(frozen),
    )
    if cohort.faults:
        raise ContractBroken(cohort.faults[0])
    if frozen is not None and not frozen.exists():
        replace_with(frozen, ["\n".join(sorted(cohort.contents)).encode("ascii")])
    return cohort


def cohort_of(party: str, folder: Path, task: TaskFile, state: Path) -> Cohort:
    """`open_cohort` for one of several parties: what is wrong with its data names it."""
    try:
        return open_cohort(folder, task, state)
    except (ContractBroken, DataError) as broken:
        raise type(broken)(f"party {party}: {broken}") from None


def _held(frozen: Path | None) -> frozenset[str] | None:
    """The contents that an earlier opening froze; `None` when there was none."""
    if frozen is None or not frozen.exists():
        return None
    return frozenset(frozen.read_text(encoding="ascii").split())


def survey_folder(
    folder: Path,
    task: TaskFile,
    state: Path,
    *,
    progress: Progress | None = None,
    workers: int = 1,
    cache_limit: int = DEFAULT_LIMIT,
    held: frozenset[str] | None = None,
) -> Cohort:
    """As `open_cohort`, but data that breaks the contract is returned with its `faults`.

    With `held`, files of any other content (SHA-256) are passed over; a file whose content could
    not be read counts by its place. A table is read by `survey_table`, and `held` names rows.
    """
    if task.data.table is not None:
        # 53 MB of pyarrow that images do without.
        from fedcore.data.table_cohort import survey_table  # noqa: PLC0415

        return survey_table(folder, task, task.data.table, held)
    files = list_files(folder)
    paths = [file.path for file in files]
    source = open_labels(folder, task.data, paths)
    splits = read_splits(folder, task.data.split_file, paths)
    if early := declared(source, paths):
        class_names(early, source, task)
    steps = Preprocessing.of(task)
    recipe = Recipe(steps, source.attribute)
    cache = PixelCache(state / "pixels", steps.fingerprint(), cache_limit)
    root = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()
    with open_index(state / "index.sqlite", root, recipe.rule()) as index:
        known = take_in(folder, files, recipe, index, cache, workers=workers, progress=progress)
    cache.touch()
    arrived = [one for one in known if held is not None and _identity(one) not in held]
    known = [one for one in known if held is None or _identity(one) in held]
    labels = assign(source, known)
    classes = class_names(early or labels, source, task)
    if splits is not None:
        labels = with_named_splits(labels, known, splits)
    samples, aside = sort_out(known, labels)
    # Where a file says who is tested, nobody else is.
    test = task.data.test if splits is None else 0.0
    placed = give_splits(samples, task.data.validation, test)
    cohort = _cohort(task, classes, placed, aside, len(known), cache)
    notes = (*cohort.notes, *_left_for_later(arrived))
    return replace(cohort, notes=notes, contents=frozenset(map(_identity, known)))


def _identity(one: Known) -> str:
    """The content's SHA-256, or that of the path where the content could not be read."""
    return one.content or hashlib.sha256(os.fsencode(one.file.path)).hexdigest()


def _left_for_later(arrived: Sequence[Known]) -> list[str]:
    if not arrived:
        return []
    return [f"{len(arrived)} files came after the training began and are left for the next one"]


def _cohort(
    task: TaskFile,
    classes: tuple[str, ...],
    samples: Sequence[Sample],
    aside: Sequence[SetAside],
    files: int,
    cache: PixelCache,
) -> Cohort:
    steps = Preprocessing.of(task).fingerprint()
    patients = contract.patients_by_split(samples)
    images = contract.images_by_class(samples, classes)
    parts = {split: _images(split, samples, classes, task, cache) for split in SPLITS}
    reasons = dict(sorted(Counter(one.reason for one in aside).items()))
    own = measure_pixels(parts["train"]) if task.data.normalize == "own" else None
    return Cohort(
        classes=classes,
        train=replace(parts["train"], pixel_statistics=own),
        validation=replace(parts["validation"], pixel_statistics=own),
        test=replace(parts["test"], pixel_statistics=own),
        contract_hash=contract.contract_hash(samples, classes, steps),
        preprocessing_hash=steps,
        files=files,
        patients=len({sample.patient for sample in samples}),
        split_patients=patients,
        images=images,
        quarantine=reasons,
        scanners=_scanners(samples),
        faults=contract.faults(task, files, reasons, patients, images),
        notes=contract.notes(task, patients),
        set_aside=tuple(aside),
        columns=ImageColumns(tuple(samples), classes, parts["train"]),
    )


def _images(
    split: Split,
    samples: Sequence[Sample],
    classes: Sequence[str],
    task: TaskFile,
    cache: PixelCache,
) -> CachedImages:
    chosen = [sample for sample in samples if sample.split == split]
    arrays: dict[int, tuple[int, Pixels]] = {}
    places, labels = [], []
    for sample in chosen:
        for number in range(sample.images):
            array, row = cache.locate(image_key(sample.content, number))
            place, _ = arrays.setdefault(id(array), (len(arrays), array))
            places.append((place, row))
            labels.append(classes.index(sample.label))
    return CachedImages(
        labels=np.array(labels, np.int64),
        patients=len({sample.patient for sample in chosen}),
        shape=task.model.input_size,
        arrays=tuple(array for _, array in arrays.values()),
        places=np.array(places, np.int64).reshape(-1, 2),
    )


def _scanners(samples: Sequence[Sample]) -> dict[str, dict[str, int]]:
    kinds = sorted({kind for sample in samples for kind in sample.facts.scanner})
    counts = {
        kind: Counter(sample.facts.scanner.get(kind, "") for sample in samples) for kind in kinds
    }
    return {kind: dict(sorted(counter.items())) for kind, counter in counts.items()}
