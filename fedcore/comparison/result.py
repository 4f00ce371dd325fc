"""What came of a cell, as one small file: its rounds, its best round, its test scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from fedcore.audit.durable import replace_with
from fedcore.comparison.plan import Cell, Comparison
from fedcore.config.base import Section
from fedcore.errors import RunMismatch
from fedcore.metrics import METRICS, AnyScores, read_scores
from fedcore.rounds.messages import Record

FOLDER = "cells"


class Round(Section):
    """A round's metrics on the validation data of all parties of the cell; `None`: withheld.

    `personal` has those of the parties' personal models, where they are made in every round.
    """

    number: int
    seconds: float
    values: dict[str, float | None]
    personal: dict[str, float | None] = Field(default_factory=dict)

    @classmethod
    def of(cls, record: Record) -> Round:
        """What of a round's record is compared."""
        values = {name: getattr(record, name) for name in METRICS}
        own = record.personal.model_dump() if record.personal else {}
        return cls(number=record.round, seconds=record.seconds, values=values, personal=own)


class CellResult(Section):
    """What a finished cell says.

    `tests` holds, by party id, the best model's `fedcore.metrics.AnyScores` on that party's test
    data as JSON, or nothing where they are withheld; `personal` those of each party's own personal
    model after the last round, where the strategy makes some.
    """

    cell: Cell
    task_hash: str
    code_version: str
    rounds: tuple[Round, ...]
    best_round: int
    reason: str
    tests: dict[str, dict[str, Any] | None]
    personal: dict[str, dict[str, Any] | None] = Field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long the rounds took; reading the data and the final test are not in it."""
        return sum(one.seconds for one in self.rounds)

    @property
    def scores(self) -> dict[str, AnyScores]:
        """Known test scores by party id."""
        return _known(self.tests)

    @property
    def personal_scores(self) -> dict[str, AnyScores]:
        """Known test scores of the parties' personal models by party id."""
        return _known(self.personal)


def _known(tests: Mapping[str, Any]) -> dict[str, AnyScores]:
    return {party: read_scores(one) for party, one in tests.items() if one}


def path_of(output: Path, cell: Cell) -> Path:
    """Where a cell's result lies."""
    return output / FOLDER / f"{cell.name}.json"


def keep(output: Path, result: CellResult) -> None:
    """Write a finished cell's result, whole or not at all."""
    replace_with(path_of(output, result.cell), [result.model_dump_json(indent=1).encode()])


def found(output: Path, comparison: Comparison) -> dict[str, CellResult]:
    """The finished cells of the comparison, by name.

    Raises `RunMismatch` for one whose scores another version of fedcore counted in other ways.
    """
    return {cell.name: one for cell in comparison.cells() if (one := _read(output, cell))}


def missing(comparison: Comparison, done: Mapping[str, CellResult]) -> Sequence[Cell]:
    """The cells that are yet to be trained."""
    return [cell for cell in comparison.cells() if cell.name not in done]


def _read(output: Path, cell: Cell) -> CellResult | None:
    path = path_of(output, cell)
    if not path.exists():
        return None
    known = CellResult.model_validate_json(path.read_bytes())
    try:
        _ = known.scores
    except ValueError as odd:
        raise RunMismatch(
            f"{path}: its {odd}: fedcore {known.code_version} wrote it; choose another --output"
        ) from None
    return known
