"""Which rows of a table train, validate and test: by patient, or as a column or a file says."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from fedcore.config.cells import canonical
from fedcore.config.data import DataSection
from fedcore.config.table import TableSection
from fedcore.data.splits import Split, named_split, split_of
from fedcore.data.table_files import Columns, RawTable, read_text, split_of_file
from fedcore.data.table_rows import Rows
from fedcore.errors import DataError

KEYS = ("row", "index", "id")
WORDS = "use train, validation or test"


def split_rows(
    rows: Rows, raw: RawTable, rules: DataSection, table: TableSection, place: Path
) -> list[Split | None]:
    """The split of every usable row; `None` where column or file name none.

    Of a file that is a split by its name, all rows are in it; the others are split among the rest.
    Raises `DataError` for a split file that cannot be read, an unknown word, and a patient whose
    rows are put into two splits.
    """
    fixed = [split_of_file(raw.files[row], table) for row in rows.places]
    shares = {
        "test": 0.0 if table.test_files else rules.test,
        "validation": 0.0 if table.validation_files else rules.validation,
    }
    others = rows.chosen([one is None for one in fixed])
    split = iter(_split(others, raw, rules.model_copy(update=shares), table, place))
    named = [one or next(split) for one in fixed]
    _require_one_split(rows, raw, named)
    return named


def _split(
    rows: Rows, raw: RawTable, rules: DataSection, table: TableSection, place: Path
) -> list[Split | None]:
    if table.split == "hash":
        return [split_of(one, rules.validation, rules.test) for one in rows.patients]
    if table.split in ("exact", "stratified"):
        return _in_shares(rows, rules, by_class=table.split == "stratified")
    if table.split_column is not None:
        cells = raw.columns[table.split_column]
        return [_named(raw.place(row), cells[row]) for row in rows.places]
    given = _SplitFile(place, table)
    return [given.of(raw, row) for row in rows.places]


def _in_shares(rows: Rows, rules: DataSection, *, by_class: bool) -> list[Split | None]:
    """Exact shares of the patients, in the order of their hashes; of each class on wish.

    A patient with rows of several classes counts with the last of their names.
    """
    groups: dict[str, str] = {}
    for patient, label in zip(rows.patients, rows.labels, strict=True):
        groups[patient] = max(groups.get(patient, ""), label) if by_class else ""
    placed: dict[str, Split] = {}
    for group in sorted(set(groups.values())):
        members = sorted((one for one in groups if groups[one] == group), key=_shuffled)
        test = round(rules.test * len(members))
        held = test + round(rules.validation * len(members))
        for number, patient in enumerate(members):
            placed[patient] = _part(number, test, held)
    return [placed[patient] for patient in rows.patients]


def _part(number: int, test: int, held: int) -> Split:
    if number < test:
        return "test"
    return "validation" if number < held else "train"


def _shuffled(patient: str) -> str:
    return hashlib.sha256(f"fedcore split shares 1|{patient}".encode()).hexdigest()


def _named(place: str, word: str) -> Split | None:
    if not word:
        return None
    found = named_split(word)
    if found is None:
        raise DataError(f"{place}: the split is no known word: {WORDS}")
    return found


def _require_one_split(rows: Rows, raw: RawTable, named: Sequence[Split | None]) -> None:
    first: dict[str, Split] = {}
    for patient, split, row in zip(rows.patients, named, rows.places, strict=True):
        if split is not None and first.setdefault(patient, split) != split:
            pair = " and ".join(sorted({split, first[patient]}))
            raise DataError(
                f"{raw.place(row)}: its patient's rows are put into {pair}: give all rows of a "
                "patient the same split"
            )


class _SplitFile:
    """A file of splits: by `row` (from 1), `index` (from 0) or `id`; a column `file` on wish."""

    def __init__(self, place: Path, table: TableSection) -> None:
        name = table.split_file or ""
        path = (place if place.is_dir() else place.parent) / name
        if not path.is_file():
            raise DataError(f"{name}: there is no such split file beside the table: add it")
        columns, odd = read_text(path)
        if odd:
            raise DataError(f"{name} row {odd[0]}: it has too many or too few cells: correct it")
        self._key = _key_of(name, columns, table)
        self._id = table.id
        self._known = self._read(name, columns)

    def of(self, raw: RawTable, row: int) -> Split | None:
        """The split of a row of the table."""
        own = self._own(raw, row)
        return self._known.get((raw.files[row], own)) or self._known.get(("", own))

    def _own(self, raw: RawTable, row: int) -> str:
        if self._key == "id":
            return canonical(raw.columns[self._id or ""][row])
        return str(raw.numbers[row] - (self._key == "index"))

    def _read(self, name: str, columns: Columns) -> Mapping[tuple[str, str], Split]:
        files = columns.get("file") or [""] * len(columns["split"])
        known: dict[tuple[str, str], Split] = {}
        lines = zip(files, columns[self._key], columns["split"], strict=True)
        for number, (file, key, word) in enumerate(lines, 1):
            split = _named(f"{name} row {number}", word)
            if split is None:
                raise DataError(f"{name} row {number}: the split is empty: {WORDS}")
            if known.setdefault((file, canonical(key)), split) != split:
                remedy = "another row says otherwise; keep one of the two"
                raise DataError(f"{name} row {number}: {remedy}")
        return known


def _key_of(name: str, columns: Columns, table: TableSection) -> str:
    keys = [key for key in KEYS if key in columns]
    if "split" not in columns or len(keys) != 1:
        remedy = "name them row (from 1), index (from 0) or id, and split"
        raise DataError(f"{name}: its columns do not say which row has which split: {remedy}")
    if keys[0] == "id" and table.id is None:
        raise DataError(f"{name}: it goes by id and data.table.id names no column: name it")
    return keys[0]
