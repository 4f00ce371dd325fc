"""The comparison as one figure: the course of every arm with its spread, and the test scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fedcore.comparison.plan import LOCAL_ONLY, POOLED
from fedcore.comparison.table import AVERAGE, TOGETHER, Sheet, Spread
from fedcore.explain.figures import Drawing
from fedcore.explain.metric_words import title_of
from fedcore.explain.palette import INK, MUTED, party_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]
BASELINES: Mapping[str, dict[str, Any]] = {
    LOCAL_ONLY: {"color": MUTED, "ls": "--", "lw": 1.5},
    POOLED: {"color": INK, "ls": ":", "lw": 1.8},
}


def drawing(sheet: Sheet) -> Drawing:
    """The figure of a sheet; it shows the sheet's first metric."""
    alt = "Validation metric by round and test metric of every strategy, with spread over seeds"
    return Drawing("comparison", alt, lambda: figure_of(sheet))


def figure_of(sheet: Sheet) -> Figure:
    """Left: mean by round with a band of one standard deviation. Right: test scores with bars."""
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    made = Figure(figsize=(10, 4), layout="constrained")
    left, right = made.subplots(1, 2, width_ratios=(3, 2))
    styles, metric = _styles(sheet), sheet.metrics[0]
    for row in sheet.rows:
        _draw_course(left, sheet, row.arm, metric, styles[row.arm])
    left.set_title(f"{title_of(metric)} (validation)")
    left.set_xlabel("round")
    left.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    _draw_scores(right, sheet, metric, styles)
    right.set_title(f"{title_of(metric)} (test)")
    handles, labels = left.get_legend_handles_labels()
    if handles:
        made.legend(handles, labels, loc="outside lower center", ncols=min(6, len(labels)))
    return made


def band(courses: Sequence[Sequence[float | None]]) -> tuple[Floats, Floats, Floats]:
    """Rounds, mean and deviation over the courses that have come so far; no spread is 0."""
    longest = max(map(len, courses), default=0)
    spreads = [
        Spread.of(course[place] for course in courses if place < len(course))
        for place in range(longest)
    ]
    means = [one.mean if one else np.nan for one in spreads]
    deviations = [(one.deviation or 0.0) if one else np.nan for one in spreads]
    return np.arange(1.0, longest + 1), np.array(means), np.array(deviations)


def _draw_course(
    panel: Axes, sheet: Sheet, arm: str, metric: str, style: Mapping[str, Any]
) -> None:
    trials = [trial for trial in sheet.trials if trial.arm == arm]
    rounds, mean, deviation = band([trial.course(metric) for trial in trials])
    dots: dict[str, Any] = {"marker": "o", "ms": 3} if len(rounds) <= 25 else {}
    panel.plot(rounds, mean, label=arm, **style, **dots)
    low, high = mean - deviation, mean + deviation
    panel.fill_between(rounds, low, high, color=style["color"], alpha=0.15, lw=0)


def _draw_scores(
    panel: Axes, sheet: Sheet, metric: str, styles: Mapping[str, Mapping[str, Any]]
) -> None:
    """Filled dots: the parties' plain average; hollow ones: all test data pooled."""
    names = [row.arm for row in sheet.rows]
    for place, row in enumerate(sheet.rows):
        colour = styles[row.arm]["color"]
        for where, shift, fill in ((AVERAGE, -0.12, colour), (TOGETHER, 0.12, "white")):
            spread = row.values[where, metric]
            if spread is not None:
                panel.errorbar(
                    spread.mean,
                    place + shift,
                    xerr=spread.deviation or 0.0,
                    fmt="o",
                    color=colour,
                    markerfacecolor=fill,
                    capsize=3,
                )
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(max(len(names), 1) - 0.5, -0.5)
    panel.set_xlabel("filled: average of the parties, hollow: pooled")


def _styles(sheet: Sheet) -> dict[str, dict[str, Any]]:
    arms = [row.arm for row in sheet.rows if row.arm not in BASELINES]
    return {**party_styles(arms), **BASELINES}
