"""The data contract: what a party's data must satisfy before any training, and its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from fedcore.config import TaskFile
from fedcore.data.samples import Sample
from fedcore.data.splits import SPLITS


def contract_hash(samples: Iterable[Sample], classes: Sequence[str], preprocessing: str) -> str:
    """SHA-256 in hex over contents, labels, splits, patient grouping and preprocessing.

    Equal exactly when the usable data is equal. Patients enter as groups, named by the smallest
    content hash in the group, so that not even a digest of an identity goes in.
    """
    samples = sorted(samples, key=lambda one: one.content)
    groups: dict[str, str] = {}
    for sample in samples:
        groups.setdefault(sample.patient, sample.content)
    lines = [
        [one.content, one.images, one.label, one.split, groups[one.patient]] for one in samples
    ]
    total = json.dumps([preprocessing, list(classes), lines], separators=(",", ":"))
    return hashlib.sha256(total.encode()).hexdigest()


def patients_by_split(samples: Iterable[Sample]) -> dict[str, int]:
    """How many patients each split has."""
    members: dict[str, set[str]] = {split: set() for split in SPLITS}
    for sample in samples:
        members[sample.split or "train"].add(sample.patient)
    return {split: len(patients) for split, patients in members.items()}


def images_by_class(samples: Iterable[Sample], classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """How many images of each class each split has: split -> class -> images."""
    counts: dict[str, dict[str, int]] = {split: dict.fromkeys(classes, 0) for split in SPLITS}
    for sample in samples:
        counts[sample.split or "train"][sample.label] += sample.images
    return counts


def faults(
    task: TaskFile,
    files: int,
    set_aside: Mapping[str, int],
    patients: Mapping[str, int],
    images: Mapping[str, Mapping[str, int]],
    *,
    unit: str = "image",
) -> tuple[str, ...]:
    """Every way in which the data breaks the task's contract, one sentence each, worst first.

    `unit` is what is counted: an image, or a table's row; `set_aside` are counts by reason.
    """
    rules, found = task.data, []
    if patients["train"] < rules.min_patients:
        found.append(
            f"data: training patients is {patients['train']}: data.min_patients asks for "
            f"{rules.min_patients}; add patients, or lower it in the task file"
        )
    missing = [name for name, count in images["train"].items() if count == 0]
    if rules.require_all_classes and missing:
        found.append(
            f"data: class {missing[0]!r} has no training {unit}: data.require_all_classes asks for "
            "one of every class; add some, or set it to false in the task file"
        )
    lost = sum(set_aside.values())
    if files and lost / files > rules.max_quarantined:
        things = "rows" if unit == "row" else "files"
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(set_aside.items()))
        found.append(
            f"data: {lost} of {files} {things} are set aside ({reasons}): data.max_quarantined "
            f"allows a share of {rules.max_quarantined:g}; mend or remove them, or raise it"
        )
    return tuple(found)


def notes(task: TaskFile, patients: Mapping[str, int]) -> tuple[str, ...]:
    """What does not break the contract and should be known: a split that is empty or too small."""
    shares = {"validation": task.data.validation, "test": task.data.test}
    return tuple(
        f"data: {split} patients is {patients[split]}: fewer than data.min_reported "
        f"({task.data.min_reported}), so its metrics are withheld; add patients or a split column"
        for split, share in shares.items()
        if share > 0 and patients[split] < task.data.min_reported
    )
