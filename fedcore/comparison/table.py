"""From cells to rows: mean and standard deviation over the seeds, for every party and metric.

A row's value at one seed is what a user of that arm gets: each party's own local model for
`local-only`, each party's personal model for a row of those, the one model of the training (with
what of it stays at each party) for every other.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fedcore.comparison.plan import LOCAL_ONLY, POOLED, personal_row
from fedcore.comparison.result import CellResult
from fedcore.metrics import AnyScores, pool_any

AVERAGE, TOGETHER = "average", "pooled"


@dataclass(frozen=True)
class Spread:
    """A mean over seeds; `deviation` is the sample's (n - 1), unknown for a single seed."""

    mean: float
    deviation: float | None
    seeds: int

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Spread | None:
        """Of the known values; `None` where none is known. The order does not matter."""
        known = [value for value in values if value is not None and math.isfinite(value)]
        if not known:
            return None
        deviation = statistics.stdev(known) if len(known) > 1 else None
        return cls(math.fsum(known) / len(known), deviation, len(known))


@dataclass(frozen=True)
class Trial:
    """One row at one seed: known test scores by party, seconds of all its rounds, its cells.

    `personal`: it is of the parties' personal models.
    """

    arm: str
    seed: int
    scores: Mapping[str, AnyScores]
    seconds: float
    cells: Sequence[CellResult]
    personal: bool = False

    def value(self, where: str, metric: str) -> float | None:
        """The metric at a party, their plain average, or of all test data pooled."""
        if where == TOGETHER:
            together = pool_any(self.scores[party] for party in sorted(self.scores))
            return _known(together, metric)
        if where != AVERAGE:
            return _known(self.scores.get(where), metric)
        values = [_known(one, metric) for one in self.scores.values()]
        known = [value for value in values if value is not None]
        return math.fsum(known) / len(known) if known else None

    def course(self, metric: str) -> list[float | None]:
        """The validation metric after each round; for `local-only` the parties' plain average."""
        longest = max(len(cell.rounds) for cell in self.cells)
        values: list[float | None] = []
        for place in range(longest):
            there = [cell.rounds[place] for cell in self.cells if place < len(cell.rounds)]
            found = [(one.personal if self.personal else one.values).get(metric) for one in there]
            known = [value for value in found if value is not None]
            whole = len(known) == len(self.cells)
            values.append(math.fsum(known) / len(known) if whole else None)
        return values


@dataclass(frozen=True)
class Row:
    """A line: a spread for each (where, metric), the seconds, how many seeds."""

    arm: str
    seeds: int
    values: Mapping[tuple[str, str], Spread | None]
    seconds: Spread | None

    def knows(self, metric: str) -> bool:
        """Whether any column has a value of the metric."""
        return any(spread for (_, name), spread in self.values.items() if name == metric)


@dataclass(frozen=True)
class Sheet:
    """Everything the pages and the plot show; rows in the order of the comparison."""

    rows: Sequence[Row]
    trials: Sequence[Trial]
    parties: tuple[str, ...]
    metrics: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The parties, their plain average, and all of their test data pooled."""
        return (*self.parties, AVERAGE, TOGETHER)

    def best(self, where: str, metric: str) -> set[str]:
        """The strategies with the best mean; baselines do not compete.

        Nobody is best where there is one strategy, or where all are the same.
        """
        means = {
            row.arm: spread.mean
            for row in self.rows
            if row.arm not in (LOCAL_ONLY, POOLED) and (spread := row.values[where, metric])
        }
        if len(set(means.values())) < 2:
            return set()
        top = min(means.values()) if metric == "loss" else max(means.values())
        return {arm for arm, mean in means.items() if mean == top}


def sheet_of(
    results: Iterable[CellResult],
    rows: Sequence[str],
    parties: Sequence[str],
    metrics: Sequence[str],
) -> Sheet:
    """The sheet of the cells there are, in whatever order they come.

    `rows` names the lines, `parties` the columns; the first of `metrics` is the one to show first.
    """
    trials = trials_of(results, parties)
    columns = (*parties, AVERAGE, TOGETHER)
    made = [_row(arm, [one for one in trials if one.arm == arm], columns, metrics) for arm in rows]
    return Sheet([row for row in made if row.seeds], trials, tuple(parties), tuple(metrics))


def trials_of(results: Iterable[CellResult], parties: Sequence[str]) -> list[Trial]:
    """Cells put together by row and seed; `local-only` counts once every party's cell is there."""
    groups: dict[tuple[str, int], list[CellResult]] = defaultdict(list)
    for one in results:
        groups[one.cell.arm, one.cell.seed].append(one)
    trials = []
    for (arm, seed), cells in sorted(groups.items()):
        ordered = sorted(cells, key=lambda one: one.cell.name)
        if arm == LOCAL_ONLY:
            if {one.cell.party for one in ordered} < set(parties):
                continue
            scores = {party: own for one in ordered for party, own in _own(one).items()}
        else:
            scores = ordered[0].scores
        seconds = math.fsum(one.seconds for one in ordered)
        trials.append(Trial(arm, seed, scores, seconds, ordered))
        if ordered[0].personal:
            trials.append(personal_trial(ordered[0]))
    return trials


def trial_of(one: CellResult) -> Trial:
    """A single cell's best model, at every party that it was tested at."""
    return Trial(one.cell.arm, one.cell.seed, one.scores, one.seconds, [one])


def personal_trial(one: CellResult) -> Trial:
    """What a cell's parties get with their personal models."""
    row, scores = personal_row(one.cell.arm), one.personal_scores
    return Trial(row, one.cell.seed, scores, one.seconds, [one], personal=True)


def elsewhere(
    results: Iterable[CellResult], parties: Sequence[str], metric: str
) -> dict[str, dict[str, Spread | None]]:
    """How each party's local model does at every party: trained at -> tested at -> spread."""
    cells = sorted((one for one in results if one.cell.party), key=lambda one: one.cell.name)
    return {
        trained: {
            tested: Spread.of(
                _known(one.scores.get(tested), metric) for one in cells if one.cell.party == trained
            )
            for tested in parties
        }
        for trained in parties
        if any(one.cell.party == trained for one in cells)
    }


def _own(result: CellResult) -> dict[str, AnyScores]:
    """A local model's scores at the party that trained it."""
    return {party: one for party, one in result.scores.items() if party == result.cell.party}


def _row(arm: str, trials: Sequence[Trial], columns: Sequence[str], metrics: Sequence[str]) -> Row:
    values = {
        (where, metric): Spread.of(one.value(where, metric) for one in trials)
        for where in columns
        for metric in metrics
    }
    return Row(arm, len(trials), values, Spread.of(one.seconds for one in trials))


def _known(scores: AnyScores | None, metric: str) -> float | None:
    """The metric, or `None` where there are no scores or it is undefined."""
    if scores is None:
        return None
    value = scores.summary().get(metric, math.nan)
    return value if math.isfinite(value) else None
