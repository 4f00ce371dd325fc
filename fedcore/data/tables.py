"""Label files: `labels.csv` or `labels.parquet` with one row per image.

Columns: `file` (relative, with /) or `SOPInstanceUID`, `label`, and optionally `patient` and
`split`. Errors name the file, the row, the value and the remedy; they are printed at the hospital.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path, PurePosixPath

from fedcore.data.splits import Split, named_split
from fedcore.errors import DataError, nearest, problem

TABLE_NAMES = ("labels.csv", "labels.parquet")
_COLUMNS = ("file", "SOPInstanceUID", "label", "patient", "split")


@dataclass(frozen=True)
class Row:
    """One labelled image; `place` says where the row stands. Either `file` or `instance` is set."""

    place: str
    file: str
    instance: str
    label: str
    patient: str
    split: Split | None


def read_columns(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The names of a table's columns and its rows as stripped text; raises `DataError`."""
    columns, records = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    return columns, list(records)


def read_table(path: Path) -> tuple[Row, ...]:
    """Read a label file; raises `DataError` in one sentence."""
    columns, records = read_columns(path)
    _require_columns(path.name, columns)
    rows = tuple(_row(f"{path.name} row {n}", record) for n, record in enumerate(records, 1))
    if not rows:
        raise DataError(f"{path.name}: the file lists no image: add one row per image")
    _refuse_contradictions(rows)
    return rows


def _csv(path: Path) -> tuple[list[str], Iterable[dict[str, str]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path.name}: the file is not UTF-8 text: save it as UTF-8") from None
    except OSError:
        raise DataError(f"{path.name}: the file cannot be read: check its permissions") from None
    head = text.partition("\n")[0]
    reader = csv.DictReader(StringIO(text), delimiter=";" if ";" in head else ",")
    names = [name or "" for name in reader.fieldnames or ()]
    try:
        return names, [_plain(record) for record in reader]
    except csv.Error:
        place = f"line {reader.line_num}"
        raise DataError(f"{path.name}: {place} is no valid CSV: correct it") from None


def _parquet(path: Path) -> tuple[list[str], Iterable[dict[str, str]]]:
    import pyarrow as pa  # noqa: PLC0415 (53 MB that most parties do without)
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError):
        raise DataError(f"{path.name}: this is no Parquet file: write it anew") from None
    return list(table.column_names), [_plain(record) for record in table.to_pylist()]


def _plain(record: Mapping[str | None, object]) -> dict[str, str]:
    """Values as stripped text under the canonical column names; 1.0 reads as 1, absent as ''."""
    known = {name.lower(): name for name in _COLUMNS}
    plain: dict[str, str] = {}
    for name, value in record.items():
        plain[known.get((name or "").strip().lower(), name or "")] = _text(value)
    return plain


def _text(value: object) -> str:
    if isinstance(value, float):
        value = None if math.isnan(value) else int(value) if value.is_integer() else value
    return "" if value is None else str(value).strip()


def _require_columns(name: str, columns: list[str]) -> None:
    found = {column.strip().lower() for column in columns}
    if "label" not in found:
        remedy = f"add a column 'label' ({nearest('label', columns)})"
        raise DataError(f"{name}: the column 'label' is missing: {remedy}")
    if not found & {"file", "sopinstanceuid"}:
        remedy = f"add a column 'file' or 'SOPInstanceUID' ({nearest('file', columns)})"
        raise DataError(f"{name}: no column says which image is meant: {remedy}")


def _row(place: str, record: dict[str, str]) -> Row:
    file = record.get("file", "").replace("\\", "/")
    instance, label = record.get("SOPInstanceUID", ""), record.get("label", "")
    if not file and not instance:
        raise DataError(f"{place}: file is empty: name the image or remove the row")
    if not label:
        raise DataError(f"{place}: label is empty: give the class or remove the row")
    given = record.get("split", "")
    split = named_split(given) if given else None
    if given and split is None:
        raise DataError(problem(place, "split", given, "use train, validation or test"))
    plain = str(PurePosixPath(file)) if file else ""
    return Row(place, plain, "" if file else instance, label, record.get("patient", ""), split)


def _refuse_contradictions(rows: Iterable[Row]) -> None:
    seen: dict[str, Row] = {}
    for row in rows:
        key = row.file or row.instance
        first = seen.setdefault(key, row)
        ours = (row.label, row.patient, row.split)
        if ours != (first.label, first.patient, first.split):
            remedy = f"{first.place} says otherwise about the same image; keep one of the two"
            raise DataError(problem(row.place, "label", row.label, remedy))
