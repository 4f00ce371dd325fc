"""A party's clinical table as a cohort: read, judged, split by patient, encoded, standardised.

What fills and standardises comes from training rows alone; nothing of validation or test is seen.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fedcore.config import TaskFile
from fedcore.config.cells import number_of
from fedcore.config.table import TableSection
from fedcore.data import contract
from fedcore.data.cohort_record import Cohort
from fedcore.data.images import Labels
from fedcore.data.samples import SetAside
from fedcore.data.splits import SPLITS, Split
from fedcore.data.table_columns import TableColumns
from fedcore.data.table_files import RawTable, read_tables
from fedcore.data.table_rows import CENSORED, EVENT, NO, YES, Rows, judge
from fedcore.data.table_set import TableRows
from fedcore.data.table_splits import split_rows
from fedcore.encoding.columns import MISSING_VALUE, NO_SPLIT
from fedcore.encoding.fills import fit
from fedcore.encoding.inputs import lay_out
from fedcore.encoding.scaling import fit_scaling
from fedcore.errors import DataError, problem


def survey_table(
    place: Path, task: TaskFile, table: TableSection, held: frozenset[str] | None = None
) -> Cohort:
    """The cohort of the table at `place`, with its `faults` where it breaks the contract.

    With `held`, rows of any other identity are passed over. Raises `DataError` where the files
    cannot be used at all.
    """
    raw = read_tables(place, table)
    every, aside = judge(raw, table)
    known = every.chosen([held is None or one in held for one in every.identity])
    splits = split_rows(known, raw, task.data, table, place)
    aside += [
        SetAside(raw.place(row), NO_SPLIT)
        for row, split in zip(known.places, splits, strict=True)
        if split is None
    ]
    rows = known.chosen([split is not None for split in splits])
    named = [split for split in splits if split is not None]
    notes = _left_for_later(len(every) - len(known))
    return _cohort(task, table, rows, named, sorted(aside, key=_by_place), raw, notes)


def _cohort(
    task: TaskFile,
    table: TableSection,
    rows: Rows,
    splits: Sequence[Split],
    aside: Sequence[SetAside],
    raw: RawTable,
    notes: Sequence[str],
) -> Cohort:
    classes = _class_names(task, table, rows)
    names = _numbered(rows, classes)
    labels = _labels(rows, names)
    sets, empty = _encoded(table, rows, splits, labels)
    patients = {split: one.patients for split, one in sets.items()}
    counts = _counts(splits, names, classes)
    total = len(raw) + len(raw.ragged)
    reasons = Counter(one.reason for one in aside)
    lost = {one: reasons[one] for one in reasons if one != MISSING_VALUE}  # that one is agreed
    faults = contract.faults(task, total, lost, patients, counts, unit="row")
    encoding = hashlib.sha256(table.model_dump_json().encode()).hexdigest()
    return Cohort(
        classes=classes,
        train=sets["train"],
        validation=sets["validation"],
        test=sets["test"],
        contract_hash=_contract_hash(rows, splits, names, [encoding, *classes]),
        preprocessing_hash=encoding,
        files=total,
        patients=len(set(rows.patients)),
        split_patients=patients,
        images=counts,
        quarantine=dict(sorted(reasons.items())),
        scanners={},
        faults=(*faults, *_unfilled(empty)),
        notes=(*contract.notes(task, patients), *notes),
        set_aside=tuple(aside),
        contents=frozenset(rows.identity),
        unit="row",
        columns=TableColumns(table, rows, splits, names, classes),
    )


def _encoded(
    table: TableSection, rows: Rows, splits: Sequence[Split], labels: Labels
) -> tuple[dict[str, TableRows], tuple[str, ...]]:
    """Each split's rows, and the features that have nothing to be filled from."""
    places = {split: np.array([one == split for one in splits], np.bool_) for split in SPLITS}
    training = {name: column[places["train"]] for name, column in rows.values.items()}
    fills, empty = fit(table, training)
    needed = tuple(name for name in empty if np.isnan(rows.values[name]).any())
    inputs = lay_out(table, rows.values, fills)
    scaling = fit_scaling(table, inputs[places["train"]])
    patients = np.array(rows.patients, dtype=object)
    return {
        split: TableRows(inputs[here], labels[here], len(set(patients[here])), scaling, fills)
        for split, here in places.items()
    }, needed


def _class_names(task: TaskFile, table: TableSection, rows: Rows) -> tuple[str, ...]:
    """As the task file names them; else 0 and 1 for a rule, or the sorted values of the target."""
    if table.event is not None:
        return (CENSORED, EVENT)
    rule = table.target_rule
    if rule is not None and rule.operator:
        return task.data.classes or (NO, YES)
    names = task.data.classes or tuple(sorted(set(rows.labels), key=_natural))
    if len(names) != task.model.num_classes:
        where = f"the column {rule.column if rule else ''!r}"
        remedy = "correct model.num_classes, or name data.classes in the task file"
        raise DataError(problem(where, "number of classes", len(names), remedy))
    return names


def _numbered(rows: Rows, classes: Sequence[str]) -> list[int]:
    """The class number of each row; raises `DataError` for a class that nobody declared."""
    numbers = {name: number for number, name in enumerate(classes)}
    if len(numbers) == 2 and set(rows.labels) <= {NO, YES} and not numbers.keys() & {NO, YES}:
        numbers |= {NO: 0, YES: 1}  # 0 and 1, under the names that the task file gives them
    unknown = next((name for name in rows.labels if name not in numbers), None)
    if unknown is not None:
        remedy = "data.classes of the task file lacks it: add it, or write a rule as target"
        raise DataError(f"the table: a row's class is none of {list(classes)}: {remedy}")
    return [numbers[name] for name in rows.labels]


def _labels(rows: Rows, names: Sequence[int]) -> Labels:
    """(N,) class numbers, or (N, 2) times and events."""
    numbers = np.array(names, dtype=np.int64)
    return np.stack([rows.times, numbers], axis=1) if len(rows.times) else numbers


def _counts(
    splits: Sequence[Split], names: Sequence[int], classes: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Split -> class -> rows."""
    found = Counter(zip(splits, names, strict=True))
    return {
        split: {name: found[split, number] for number, name in enumerate(classes)}
        for split in SPLITS
    }


def _contract_hash(
    rows: Rows, splits: Sequence[Split], names: Sequence[int], settings: Sequence[str]
) -> str:
    """SHA-256 over the rows in their order, labels, splits, patient grouping and encoding.

    Patients enter as groups, by the place of their first row.
    """
    groups: dict[str, int] = {}
    for place, patient in enumerate(rows.patients):
        groups.setdefault(patient, place)
    lines = [
        [content, name, split, groups[patient]]
        for content, name, split, patient in zip(
            rows.content, names, splits, rows.patients, strict=True
        )
    ]
    total = json.dumps([list(settings), lines], separators=(",", ":"))
    return hashlib.sha256(total.encode()).hexdigest()


def _unfilled(empty: Sequence[str]) -> list[str]:
    return [
        f"data: the column {name!r} has no value in any training row, and cells of it are missing: "
        "give the feature a fill in the task file, or take it out"
        for name in empty
    ]


def _left_for_later(rows: int) -> list[str]:
    if not rows:
        return []
    return [f"{rows} rows came after the training began and are left for the next one"]


def _natural(name: str) -> tuple[bool, float, str]:
    value = number_of(name)
    return value is None, value or 0.0, name


def _by_place(one: SetAside) -> tuple[str, int]:
    name, _, number = one.path.rpartition(" row ")
    return name, int(number)
