"""A party's split file: which image, or which patient, is for training, validation or test.

Columns: `split`, and `file` (relative, with /), `SOPInstanceUID` or `patient`. It replaces what
sub-folders or a label file say of splits. Messages stay at the hospital.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from fedcore.data.facts import digest_of
from fedcore.data.intake import Known
from fedcore.data.labels import Label
from fedcore.data.splits import Split, named_split
from fedcore.data.tables import read_columns
from fedcore.errors import DataError, nearest, problem


@dataclass(frozen=True)
class GivenSplits:
    """Splits by relative path, and by digest of SOPInstanceUID or patient."""

    files: dict[str, Split] = field(default_factory=dict)
    digests: dict[str, Split] = field(default_factory=dict)


def read_splits(folder: Path, name: str | None, paths: Sequence[str]) -> GivenSplits | None:
    """The splits in the folder's file `name`; `None` where the task names none.

    Raises `DataError` for a file that is missing, malformed, names an image that is not there, or
    gives one image two splits.
    """
    if name is None:
        return None
    if not (folder / name).is_file():
        remedy = "there is no such file in the data folder: add it"
        raise DataError(problem("the task file", "data.split_file", name, remedy))
    columns, records = read_columns(folder / name)
    _require_columns(name, columns)
    found, there = GivenSplits(), frozenset(paths)
    for number, record in enumerate(records, 1):
        _take(found, there, f"{name} row {number}", record)
    return found


def with_named_splits(
    labels: Sequence[Label | None], files: Sequence[Known], given: GivenSplits
) -> list[Label | None]:
    """The labels with the splits that the file gives, and no others."""
    return [
        label and replace(label, split=_split_of(file, label, given))
        for file, label in zip(files, labels, strict=True)
    ]


def _split_of(file: Known, label: Label, given: GivenSplits) -> Split | None:
    facts = file.verdict.facts
    instance = facts.instance if facts else ""
    patient = label.patient or (facts.patient if facts else "")
    if not patient and (facts is None or facts.kind != "dicom"):
        patient = digest_of("patient", PurePosixPath(file.file.path).stem)
    found = given.files.get(file.file.path) or given.digests.get(instance)
    return found or given.digests.get(patient)


def _require_columns(name: str, columns: Sequence[str]) -> None:
    found = {column.strip().lower() for column in columns}
    if "split" not in found:
        remedy = f"add a column 'split' ({nearest('split', columns)})"
        raise DataError(f"{name}: the column 'split' is missing: {remedy}")
    if not found & {"file", "sopinstanceuid", "patient"}:
        remedy = "add a column 'file', 'SOPInstanceUID' or 'patient'"
        raise DataError(f"{name}: no column says which image is meant: {remedy}")


def _take(found: GivenSplits, there: frozenset[str], place: str, record: dict[str, str]) -> None:
    split = named_split(record.get("split", ""))
    if split is None:
        remedy = "use train, validation or test"
        raise DataError(problem(place, "split", record.get("split", ""), remedy))
    path = record.get("file", "").replace("\\", "/")
    instance, patient = record.get("SOPInstanceUID", ""), record.get("patient", "")
    if path:
        path = str(PurePosixPath(path))
        if path not in there:
            raise DataError(problem(place, "file", path, "there is no such image in the folder"))
        known, key = found.files, path
    elif instance:
        known, key = found.digests, digest_of("instance", instance)
    elif patient:
        known, key = found.digests, digest_of("patient", patient)
    else:
        raise DataError(f"{place}: it names neither an image nor a patient: complete or remove it")
    if known.setdefault(key, split) != split:
        raise DataError(f"{place}: an earlier row gives the same another split: keep one of them")
