"""The files of a clinical table, read through pyarrow as text, cell by cell.

What a cell means is decided later. Errors name file, column and row number, never a cell.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from fedcore.config.table import TableSection
from fedcore.data.splits import Split
from fedcore.errors import DataError, nearest, problem

ENDINGS = (".csv", ".tsv", ".data", ".parquet")
Columns = dict[str, list[str]]


@dataclass(frozen=True)
class RawTable:
    """N rows as text: `columns` holds the used ones; `files` and `numbers` (from 1) say where from.

    `ragged` names the rows that have more or fewer cells than there are columns.
    """

    columns: Columns = field(repr=False)
    files: tuple[str, ...]
    numbers: tuple[int, ...]
    ragged: tuple[str, ...]

    def __len__(self) -> int:
        """N."""
        return len(self.files)

    def place(self, row: int) -> str:
        """Where row `row` (from 0) stands, for the hospital's eyes."""
        return f"{self.files[row]} row {self.numbers[row]}"


def read_tables(place: Path, table: TableSection) -> RawTable:
    """Read the file, or the files of the folder `place` in the order of their names.

    Raises `DataError` where there is none, or one cannot be read or lacks a column.
    """
    names: list[str] = []
    numbers: list[int] = []
    ragged: list[str] = []
    columns: Columns = {name: [] for name in table.used_columns}
    for path in table_files(place, table):
        found, odd = _read(path, table)
        _require_columns(path, found, table)
        rows = len(next(iter(found.values())))
        for name in columns:
            columns[name] += found[name]
        names += [path.name] * rows
        numbers += _numbering(rows, odd)
        ragged += [f"{path.name} row {number}" for number in odd]
    return RawTable(columns, tuple(names), tuple(numbers), tuple(ragged))


def read_text(
    path: Path, names: Sequence[str] | None = None, delimiter: str | None = None
) -> tuple[Columns, list[int]]:
    """A text file with a header, or with columns of these `names`; and its ragged rows' numbers.

    Answers column name -> cells, and the numbers (from 1) of the rows that were passed over.
    Raises `DataError` for what is no table.
    """
    odd: list[int] = []

    def pass_over(row: Any) -> str:
        odd.append(row.number - (names is None))
        return "skip"

    try:
        sign = delimiter or _delimiter(path)
        known = list(names) if names is not None else _header(path, sign)
        table = _all_text(path, known, names is None, sign, pass_over)
    except OSError:
        raise DataError(f"{path.name}: the file cannot be read: check its permissions") from None
    except (pa.ArrowException, UnicodeDecodeError, csv.Error):
        remedy = "save it as UTF-8 text with one row a line"
        raise DataError(f"{path.name}: the file is no table of text: {remedy}") from None
    return table, odd


def table_files(place: Path, table: TableSection) -> list[Path]:
    """The table's files; raises `DataError` where there is none.

    Beside a `place` that is a file lie those whose rows are the test or validation split.
    """
    if not place.exists():
        raise DataError(f"{place}: there is no such file or folder: check the path")
    folder = place.parent if place.is_file() else place
    found = sorted(path for path in folder.iterdir() if path.is_file() and _meant(path, table))
    if place.is_file():
        held_out = (path for path in found if split_of_file(path.name, table) is not None)
        found = [place, *(path for path in held_out if path.name != place.name)]
    _require_held_out(found, table)
    if not found:
        wanted = table.files or ", ".join(f"*{ending}" for ending in ENDINGS)
        raise DataError(f"{place}: it holds no table ({wanted}): add it, or name data.table.files")
    return found


def split_of_file(name: str, table: TableSection) -> Split | None:
    """The split to which all rows of a file belong; `None` where they are split row by row.

    Raises `DataError` for a file that would be in two.
    """
    patterns = _held_out(table)
    found = [split for split, pattern in patterns.items() if fnmatch(name, pattern)]
    if len(found) > 1:
        remedy = "let data.table.test_files and data.table.validation_files name different files"
        raise DataError(f"{name}: its rows would be the validation and the test split: {remedy}")
    return found[0] if found else None


def _held_out(table: TableSection) -> dict[Split, str]:
    """Which names the files have whose rows are one split."""
    named: dict[Split, str | None] = {
        "validation": table.validation_files,
        "test": table.test_files,
    }
    return {split: pattern for split, pattern in named.items() if pattern is not None}


def _require_held_out(found: Sequence[Path], table: TableSection) -> None:
    for split, pattern in _held_out(table).items():
        if not any(fnmatch(path.name, pattern) for path in found):
            field = f"data.table.{split}_files"
            remedy = "there is no such file beside the table: add it, or leave the field out"
            raise DataError(problem("the task file", field, pattern, remedy))


def _meant(path: Path, table: TableSection) -> bool:
    if path.name == table.split_file or path.name.startswith("."):
        return False
    if split_of_file(path.name, table) is not None:
        return True
    if table.files is not None:
        return fnmatch(path.name, table.files)
    return path.suffix.lower() in ENDINGS


def _read(path: Path, table: TableSection) -> tuple[Columns, list[int]]:
    parquet = table.format == "parquet"
    if parquet or (table.format == "auto" and path.suffix.lower() == ".parquet"):
        return _parquet(path), []
    names = None if table.header else list(table.columns or ())
    columns, odd = read_text(path, names, table.delimiter)
    return columns, odd


def _all_text(
    path: Path, names: list[str], header: bool, sign: str, pass_over: Callable[[Any], str]
) -> Columns:
    """Every column as text: pyarrow's guesses would read one hospital's column unlike another's."""
    _require_distinct(path.name, names)
    table = pc.read_csv(
        path,
        read_options=pc.ReadOptions(column_names=names, skip_rows=int(header), use_threads=False),
        parse_options=pc.ParseOptions(
            delimiter=sign, newlines_in_values=True, invalid_row_handler=pass_over
        ),
        convert_options=pc.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        ),
    )
    return {
        name: [cell.strip() for cell in column.to_pylist()]
        for name, column in zip(names, table.columns, strict=True)
    }


def _header(path: Path, sign: str) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [name.strip() for name in next(csv.reader(file, delimiter=sign), [])]


def _parquet(path: Path) -> Columns:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError):
        raise DataError(f"{path.name}: this is no Parquet file: write it anew") from None
    _require_distinct(path.name, table.column_names)
    return {
        name: [_text(value) for value in column.to_pylist()]
        for name, column in zip(table.column_names, table.columns, strict=True)
    }


def _text(value: object) -> str:
    """A Parquet value as a text file would have it: true is 1, absent is empty."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(int(value)) if isinstance(value, bool) else str(value).strip()


def _delimiter(path: Path) -> str:
    """Tab for .tsv, semicolon where the first line has one, else comma."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    with path.open("rb") as file:
        return ";" if b";" in file.readline() else ","


def _numbering(rows: int, odd: Sequence[int]) -> list[int]:
    """The numbers of the rows that were not passed over."""
    passed = set(odd)
    return [number for number in range(1, rows + len(odd) + 1) if number not in passed]


def _require_distinct(file: str, names: Sequence[str]) -> None:
    doubled = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if doubled is not None:
        raise DataError(f"{file}: the column {doubled!r} stands twice: rename one of them")


def _require_columns(path: Path, found: Columns, table: TableSection) -> None:
    missing = next((name for name in table.used_columns if name not in found), None)
    if missing is not None:
        no_table = "" if table.files else ", or name the tables in data.table.files if this is none"
        remedy = f"correct the file or data.table ({nearest(missing, found)}){no_table}"
        raise DataError(f"{path.name}: the column {missing!r} is missing: {remedy}")
