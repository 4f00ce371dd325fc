"""Which class each file shows: from sub-folders, from a label file, or from a DICOM attribute.

What can be wrong with the labels is found before any image is decoded where possible. Messages are
one sentence, with relative file names; they are meant for the hospital and never name a patient.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fedcore.config import TaskFile
from fedcore.config.data import DataSection
from fedcore.data.facts import digest_of
from fedcore.data.intake import Known
from fedcore.data.splits import Split, named_split
from fedcore.data.tables import TABLE_NAMES, Row, read_table
from fedcore.errors import DataError, nearest, problem


@dataclass(frozen=True)
class Label:
    """What is said about one file; `patient` is a digest, empty where nothing is said."""

    name: str
    patient: str = ""
    split: Split | None = None


@dataclass(frozen=True)
class LabelSource:
    """Where the labels come from: `rows` of a label file, or an attribute, or the sub-folders."""

    rows: tuple[Row, ...] | None = None
    table: str = ""
    attribute: str | None = None

    @property
    def needs_headers(self) -> bool:
        """Whether files' paths alone do not tell their labels."""
        return self.attribute is not None or any(row.instance for row in self.rows or ())


def open_labels(folder: Path, rules: DataSection, paths: Sequence[str]) -> LabelSource:
    """Find and check the labels of a folder whose files are `paths`; raises `DataError`."""
    if rules.labels == "attribute":
        return LabelSource(attribute=_known_keyword(rules.label_attribute or ""))
    found = [name for name in TABLE_NAMES if (folder / name).is_file()]
    if rules.labels == "folders" or (rules.labels == "auto" and not found):
        _require_folders(paths)
        return LabelSource()
    if len(found) != 1:
        said = "both labels.csv and labels.parquet are there" if found else "there is no label file"
        remedy = "keep one of them" if found else "add labels.csv, or set data.labels: folders"
        raise DataError(f"{folder}: {said}: {remedy}")
    rows = read_table(folder / found[0])
    _require_files(rows, paths)
    return LabelSource(rows, found[0])


def assign(source: LabelSource, files: Sequence[Known]) -> list[Label | None]:
    """The label of every file, None where nothing labels it; raises `DataError`."""
    if source.rows is not None:
        return _from_rows(source.rows, files)
    if source.attribute is not None:
        return [_from_attribute(file) for file in files]
    return [folder_label(file.file.path) for file in files]


def declared(source: LabelSource, paths: Sequence[str]) -> list[Label | None]:
    """The labels that are known before any image is read; none for labels from an attribute."""
    if source.rows is not None:
        return [_label(row) for row in source.rows]
    return [folder_label(path) for path in paths] if source.attribute is None else []


def folder_label(path: str) -> Label | None:
    """`CLASS/...`, or `SPLIT/CLASS/...` where SPLIT is train, val, test; None for a bare file."""
    folders = PurePosixPath(path).parts[:-1]
    split = named_split(folders[0]) if len(folders) > 1 else None
    names = folders[1:] if split else folders
    return Label(names[0], split=split) if names else None


def class_names(
    labels: Iterable[Label | None], source: LabelSource, task: TaskFile
) -> tuple[str, ...]:
    """The classes in the order of their numbers; `DataError` where labels and task differ."""
    where = source.table or ("sub-folders" if source.attribute is None else source.attribute)
    found = sorted({label.name for label in labels if label is not None})
    known = task.data.classes
    if known is not None:
        for name in found:
            if name not in known:
                remedy = f"unknown class; {nearest(name, known)}"
                raise DataError(problem(where, "label", name, remedy))
        return known
    if not found:
        raise DataError(f"{where}: no image has a label: label the images")
    if len(found) != task.model.num_classes:
        wanted = f"model.num_classes is {task.model.num_classes}"
        remedy = f"{wanted}; correct the labels, or name every class in data.classes"
        raise DataError(problem(where, "classes", ", ".join(found), remedy))
    return tuple(found)


def _known_keyword(keyword: str) -> str:
    from pydicom.datadict import keyword_dict, tag_for_keyword  # noqa: PLC0415

    if tag_for_keyword(keyword) is None:
        remedy = f"no DICOM keyword; {nearest(keyword, keyword_dict)}"
        raise DataError(problem("task file", "data.label_attribute", keyword, remedy))
    return keyword


def _require_folders(paths: Sequence[str]) -> None:
    if not any(folder_label(path) for path in paths):
        raise DataError(
            "the data folder has neither sub-folders nor a label file: sort the images into one "
            "sub-folder per class, or add labels.csv with the columns file and label"
        )


def _require_files(rows: Iterable[Row], paths: Sequence[str]) -> None:
    there = frozenset(paths)
    absent = [row for row in rows if row.file and row.file not in there]
    if absent:
        more = f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""
        remedy = f"there is no such image in the folder; correct or remove the row{more}"
        raise DataError(problem(absent[0].place, "file", absent[0].file, remedy))


def _from_rows(rows: tuple[Row, ...], files: Sequence[Known]) -> list[Label | None]:
    by_file = {row.file: row for row in rows if row.file}
    by_instance = {digest_of("instance", row.instance): row for row in rows if row.instance}
    matched = [by_file.get(file.file.path) or by_instance.get(_instance(file)) for file in files]
    _require_instances(by_instance, files)
    return [_label(row) if row else None for row in matched]


def _require_instances(by_instance: dict[str, Row], files: Sequence[Known]) -> None:
    """A UID that no readable file has is an error, unless an unreadable file may be meant."""
    there = set(map(_instance, files))
    absent = [row for key, row in by_instance.items() if key not in there]
    unknown = sum(not _instance(file) for file in files)
    if len(absent) > unknown:
        row = absent[0]
        remedy = "no image in the folder has this UID; correct or remove the row"
        raise DataError(problem(row.place, "SOPInstanceUID", row.instance, remedy))


def _instance(file: Known) -> str:
    return file.verdict.facts.instance if file.verdict.facts else ""


def _from_attribute(file: Known) -> Label | None:
    facts = file.verdict.facts
    return Label(facts.attribute) if facts and facts.attribute else None


def _label(row: Row) -> Label:
    patient = digest_of("patient", row.patient) if row.patient else ""
    return Label(row.label, patient, row.split)
