"""The comparison as files: Markdown for a reader, CSV for a data scientist, HTML for both.

All of them show the same sheet: a table per metric, the local models at the other parties, the
plot.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedcore.audit.durable import replace_with
from fedcore.comparison.plan import POOLED, Comparison
from fedcore.comparison.plot import drawing
from fedcore.comparison.result import CellResult
from fedcore.comparison.table import Row, Sheet, Spread, elsewhere, sheet_of
from fedcore.errors import amount, listing
from fedcore.explain.html import rendered, trusted
from fedcore.explain.metric_words import title_of
from fedcore.explain.wording import UNKNOWN
from fedcore.metrics import metrics_of

FILES = ("comparison.md", "comparison.csv", "cells.csv", "comparison.html", "comparison.png")
READING = (
    "Mean ± standard deviation over the seeds (n - 1), of each training's best round on test "
    "{unit}s that no training has seen. The split of the patients is the same at every seed. "
    "average: plain mean over the parties; pooled: all test {unit}s in one list. Bold: the best "
    "strategy of the column; {baselines} there to compare with."
)
BASELINES = (
    "local-only (each party's own model at home) and pooled (all training {unit}s in one place) are"
)
LOCAL_ALONE = "local-only (each party's own model at home) is"
WITH_OWN_PART = "{arms}: each party's own model, the global one with the part that stays at home. "
PERSONAL_ROWS = "(personal): each party's personal model after the last round, at home. "
BODY = """\
<header><h1>{{ title }}</h1>
<p class="muted">Comparison <code>{{ run }}</code> &middot; {{ subtitle }}</p></header>
<p>{{ reading }}</p>
<figure>{{ figure }}</figure>
{%- for one in tables %}
<h2>{{ one.title }}</h2>
<div class="scroll"><table>
<thead><tr>{% for name in one.columns %}<th scope="col"{% if not loop.first %} class="n"{% endif %}>
{{- name }}</th>{% endfor %}</tr></thead>
<tbody>
{%- for row in one.rows %}
<tr><th scope="row">{{ row[0] }}</th>
{%- for cell in row[1:] %}<td class="n">
{%- if cell.startswith("**") %}<strong>{{ cell.strip("*") }}</strong>
{%- else %}{{ cell }}{% endif %}</td>
{%- endfor %}</tr>
{%- endfor %}
</tbody></table></div>
{%- endfor %}
<h2>The task file</h2>
<pre>{{ settings }}</pre>
"""


@dataclass(frozen=True)
class Grid:
    """A table of words; a cell between double asterisks is the best of its column."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Report:
    """A comparison with the cells there are."""

    comparison: Comparison
    results: Sequence[CellResult]

    @property
    def sheet(self) -> Sheet:
        """The numbers; the task's `select_by` comes first."""
        first = self.comparison.task.federation.select_by.removeprefix("average_")
        metrics = tuple(dict.fromkeys((first, *metrics_of(self.comparison.task.task_type))))
        parties = sorted(self.comparison.parties)
        return sheet_of(self.results, self.comparison.rows, parties, metrics)

    @property
    def reading(self) -> str:
        """What the numbers are, in words."""
        one = self.comparison
        pooled = BASELINES if POOLED in one.rows else LOCAL_ALONE
        parted = [arm.name for arm in one.arms if arm.task.federation.kept_home]
        said = WITH_OWN_PART.format(arms=listing(parted)) if parted else ""
        said += PERSONAL_ROWS if any(len(arm.rows) > 1 for arm in one.arms) else ""
        plain = READING.format(unit=one.unit, baselines=pooled.format(unit=one.unit))
        return f"{plain} {said}".strip()

    def grids(self) -> list[Grid]:
        """Every table that has numbers, the most important one first."""
        sheet = self.sheet
        known = [name for name in sheet.metrics if any(row.knows(name) for row in sheet.rows)]
        made = [grid_of(sheet, metric, self.comparison.unit) for metric in known]
        local = _elsewhere(self.results, sheet)
        return [*made, local] if local.rows else made


def write(folder: Path, report: Report) -> list[Path]:
    """Write every file of the comparison into `folder`; each appears whole or not at all."""
    bodies = {
        "comparison.md": markdown(report).encode(),
        "comparison.csv": table_csv(report.sheet).encode(),
        "cells.csv": cells_csv(report.sheet).encode(),
        "comparison.html": html(report).encode(),
        "comparison.png": drawing(report.sheet).png(),
    }
    for name in FILES:
        replace_with(folder / name, [bodies[name]])
    return [folder / name for name in FILES]


def grid_of(sheet: Sheet, metric: str, unit: str) -> Grid:
    """One metric: columns are the parties, their average, all pooled, the seconds."""
    heads = sheet.columns
    rows = [
        (
            row.arm,
            *(_cell(sheet, row, where, metric) for where in heads),
            shown(row.seconds, 1),
            str(row.seeds),
        )
        for row in sheet.rows
    ]
    title = f"{title_of(metric)} on the test {unit}s"
    return Grid(title, ("strategy", *heads, "seconds", "seeds"), rows)


def markdown(report: Report) -> str:
    """The page as Markdown."""
    lines = [
        f"# {report.comparison.task.name}: comparison",
        "",
        _subtitle(report),
        "",
        report.reading,
    ]
    for grid in report.grids():
        lines += ["", f"## {grid.title}", "", *_markdown_rows(grid)]
    return "\n".join([*lines, "", "![course and test scores](comparison.png)", ""])


def html(report: Report) -> str:
    """The page as one HTML file that needs nothing else; every value is escaped."""
    return rendered(
        BODY,
        f"{report.comparison.task.name}: comparison",
        {
            "figure": trusted(drawing(report.sheet).svg()),  # escaped by matplotlib
            "title": report.comparison.task.name,
            "run": report.comparison.run,
            "subtitle": _subtitle(report),
            "reading": report.reading,
            "tables": report.grids(),
            "settings": report.comparison.task.to_yaml(),
        },
    )


def table_csv(sheet: Sheet) -> str:
    """A line per arm and metric; the deviation is empty for a single seed."""
    pairs = [f"{where}_{part}" for where in sheet.columns for part in ("mean", "std")]
    head = ("strategy", "metric", "seeds", *pairs, "seconds_mean", "seconds_std")
    rows = [
        (
            row.arm,
            metric,
            row.seeds,
            *(part for where in sheet.columns for part in _parts(row.values[where, metric])),
            *_parts(row.seconds),
        )
        for row in sheet.rows
        for metric in sheet.metrics
    ]
    return _csv(head, rows)


def cells_csv(sheet: Sheet) -> str:
    """A line per arm, seed, column and metric: what the means are made of."""
    rows = [
        (trial.arm, trial.seed, where, metric, trial.value(where, metric))
        for trial in sheet.trials
        for where in sheet.columns
        for metric in sheet.metrics
    ]
    return _csv(("strategy", "seed", "where", "metric", "value"), rows)


def shown(spread: Spread | None, digits: int = 3) -> str:
    """`0.912 ± 0.013`; for a single seed the value alone."""
    if spread is None:
        return UNKNOWN
    deviation = "" if spread.deviation is None else f" ± {spread.deviation:.{digits}f}"
    return f"{spread.mean:.{digits}f}{deviation}"


def _cell(sheet: Sheet, row: Row, where: str, metric: str) -> str:
    text = shown(row.values[where, metric])
    return f"**{text}**" if row.arm in sheet.best(where, metric) else text


def _elsewhere(results: Sequence[CellResult], sheet: Sheet) -> Grid:
    metric = sheet.metrics[0]
    found: Mapping[str, Mapping[str, Spread | None]] = elsewhere(results, sheet.parties, metric)
    rows = [
        (trained, *(shown(tests[party]) for party in sheet.parties))
        for trained, tests in found.items()
    ]
    title = f"{title_of(metric)} of each local model at every party"
    return Grid(title, ("trained at", *(f"tested at {one}" for one in sheet.parties)), rows)


def _subtitle(report: Report) -> str:
    one = report.comparison
    federation, done, wanted = one.task.federation, len(report.results), len(one.cells())
    parts = [
        f"{one.task.model.name}",
        amount(len(one.parties), "party", "parties"),
        amount(federation.epochs, "round"),
        amount(len(one.seeds), "seed"),
        f"{done} of {wanted} trainings",
    ]
    return " · ".join(parts)


def _markdown_rows(grid: Grid) -> Iterator[str]:
    yield f"| {' | '.join(grid.columns)} |"
    yield "|---" * len(grid.columns) + "|"
    for row in grid.rows:
        yield f"| {' | '.join(row)} |"


def _parts(spread: Spread | None) -> tuple[float | None, float | None]:
    return (spread.mean, spread.deviation) if spread else (None, None)


def _csv(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Python writes the shortest text that reads back as the same float; unknown is empty."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return sink.getvalue()
