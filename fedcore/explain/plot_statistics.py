"""Histograms of the data before the training: a small panel per numeric column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from fedcore.explain.outcome import guest_first
from fedcore.explain.palette import CROWD, federated_style, party_styles
from fedcore.explain.statistics_tables import DataStatistics
from fedcore.statistics import ColumnSummary

if TYPE_CHECKING:
    from fedcore.rounds.messages import Agreement

ACROSS = 3
MOST_PANELS = 30


def shown_columns(statistics: DataStatistics) -> list[ColumnSummary]:
    """Those that have a histogram with something in it."""
    return [
        one for one in statistics.total if one.layout.edges and sum(cell or 0 for cell in one.cells)
    ][:MOST_PANELS]


def histograms(agreement: Agreement, statistics: DataStatistics) -> Figure:
    """Shares of each party's and of all parties' records; what is withheld leaves a gap."""
    columns = shown_columns(statistics)
    across = min(ACROSS, len(columns))
    down = -(-len(columns) // across)
    figure = Figure(figsize=(max(4.9, 3.3 * across), 2.6 * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for panel, column in zip(panels, columns, strict=False):
        _draw(panel, agreement, statistics, column)
    for panel in panels[len(columns) :]:
        panel.set_axis_off()
    if len(agreement.parties) <= CROWD:
        panels[0].legend(fontsize=7)
    return figure


def _draw(
    panel: Axes, agreement: Agreement, statistics: DataStatistics, total: ColumnSummary
) -> None:
    members = guest_first(agreement)
    styles = party_styles(member.party_id for member in members)
    bounds = _bounds(total.layout.edges)
    for member in members:
        column = statistics.of(member.party_id, total.name)
        if column is not None:
            style = styles[member.party_id]
            panel.stairs(_shares(column), bounds, label=member.label, **style)
    panel.stairs(_shares(total), bounds, label="all together", **federated_style())
    panel.set_title(total.name.replace("_", " "))
    panel.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _bounds(edges: Sequence[float]) -> np.ndarray:
    """The edges with an outer one on either side, as far as the neighbouring cell is wide."""
    if len(edges) == 1:
        return np.array([edges[0] - 1, edges[0], edges[0] + 1])
    first, last = 2 * edges[0] - edges[1], 2 * edges[-1] - edges[-2]
    return np.array([first, *edges, last])


def _shares(column: ColumnSummary) -> np.ndarray:
    cells = [np.nan if cell is None else float(cell) for cell in column.cells]
    return np.array(cells) / max(1, column.present)
