"""A table's rows, judged one by one: inputs as numbers, labels, patients; or why one is set aside.

Digests are of the cells that are used; nothing here keeps a cell as it stands but categories.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fedcore.config.cells import Rule, canonical, number_of
from fedcore.config.table import TableSection
from fedcore.data.facts import digest_of
from fedcore.data.samples import SetAside
from fedcore.data.table_files import RawTable
from fedcore.encoding.columns import (
    BAD_TIME,
    NO_LABEL,
    NO_PATIENT,
    RAGGED,
    Column,
    is_missing,
    read_column,
)

CENSORED, EVENT = "censored", "event"
NO, YES = "0", "1"
TRUE, FALSE = ("1", "true"), ("0", "false")


@dataclass(frozen=True)
class Rows:
    """N usable rows in the order of the files; `times` is empty but for survival.

    `patients` are digests. `content` is a digest of the cells without the patient's id, `identity`
    one of all cells; rows that are equal in all are told apart by their count.
    """

    values: dict[str, Column] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    times: npt.NDArray[np.float64] = field(repr=False)
    patients: tuple[str, ...] = field(repr=False)
    content: tuple[str, ...] = field(repr=False)
    identity: tuple[str, ...] = field(repr=False)
    places: tuple[int, ...] = field(repr=False)

    def __len__(self) -> int:
        """N."""
        return len(self.labels)

    def chosen(self, keep: Sequence[bool]) -> Rows:
        """The rows where `keep` is true."""
        mask = np.array(keep, dtype=np.bool_)
        return Rows(
            {name: column[mask] for name, column in self.values.items()},
            _where(self.labels, keep),
            self.times[mask] if len(self.times) else self.times,
            _where(self.patients, keep),
            _where(self.content, keep),
            _where(self.identity, keep),
            tuple(place for place, kept in zip(self.places, keep, strict=True) if kept),
        )


def judge(raw: RawTable, table: TableSection) -> tuple[Rows, list[SetAside]]:
    """The usable rows, and what is set aside with the first reason that was found."""
    reasons = [""] * len(raw)
    labels, times = _labels(raw, table, reasons)
    values = {}
    for feature in table.features or ():
        column, found = read_column(table, feature, raw.columns[feature.name])
        values[feature.name] = column
        _note(reasons, found)
    content, identity = _digests(raw, table, with_id=False), _digests(raw, table, with_id=True)
    patients = _patients(raw, table, content, reasons)
    everything = tuple(range(len(raw)))
    rows = Rows(values, tuple(labels), times, patients, content, identity, everything)
    aside = [SetAside(raw.place(row), why) for row, why in enumerate(reasons) if why]
    aside += [SetAside(place, RAGGED) for place in raw.ragged]
    return rows.chosen([not why for why in reasons]), aside


def _labels(
    raw: RawTable, table: TableSection, reasons: list[str]
) -> tuple[list[str], npt.NDArray[np.float64]]:
    """Class names and no times; or `censored` and `event` with the times."""
    if table.event_rule is None or table.time is None:
        rule = table.target_rule or Rule("")
        labels = [_label(table, rule, cell) for cell in raw.columns[rule.column]]
        _note(reasons, ["" if label else NO_LABEL for label in labels])
        return labels, np.empty(0)
    rule = table.event_rule
    labels = [_event(table, rule, cell) for cell in raw.columns[rule.column]]
    _note(reasons, ["" if label else NO_LABEL for label in labels])
    read = [number_of(cell) for cell in raw.columns[table.time]]
    times = [-1.0 if one is None else one for one in read]
    _note(reasons, ["" if one >= 0 else BAD_TIME for one in times])
    return labels, np.array(times, dtype=np.float64)


def _label(table: TableSection, rule: Rule, cell: str) -> str:
    """The class of a cell, empty where it has none."""
    if is_missing(table, None, cell):
        return ""
    if not rule.operator:
        return canonical(cell)
    true = rule.holds(cell)
    return "" if true is None else (YES if true else NO)


def _event(table: TableSection, rule: Rule, cell: str) -> str:
    label = _label(table, rule, cell).lower()
    if label in TRUE:
        return EVENT
    return CENSORED if label in FALSE else ""


def _patients(
    raw: RawTable, table: TableSection, content: Sequence[str], reasons: list[str]
) -> tuple[str, ...]:
    if table.id is None:
        return tuple(content)
    cells = raw.columns[table.id]
    _note(reasons, [NO_PATIENT if is_missing(table, None, cell) else "" for cell in cells])
    return tuple(digest_of("patient", canonical(cell)) for cell in cells)


def _digests(raw: RawTable, table: TableSection, *, with_id: bool) -> tuple[str, ...]:
    """Per row SHA-256 of its used cells and of how many equal rows came before."""
    names = [
        name for name in table.used_columns if with_id or name not in (table.id, table.split_column)
    ]
    seen: Counter[tuple[str, ...]] = Counter()
    digests = []
    for cells in zip(*(raw.columns[name] for name in names), strict=True):
        line = json.dumps([names, cells, seen[cells]], separators=(",", ":"))
        seen[cells] += 1
        digests.append(hashlib.sha256(line.encode()).hexdigest())
    return tuple(digests)


def _note(reasons: list[str], found: Sequence[str]) -> None:
    """Keep the first reason of each row."""
    for row, reason in enumerate(found):
        reasons[row] = reasons[row] or reason


def _where(values: Sequence[str], keep: Sequence[bool]) -> tuple[str, ...]:
    return tuple(value for value, kept in zip(values, keep, strict=True) if kept)
