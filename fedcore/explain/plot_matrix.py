"""The cross-site evaluation as a picture: models down, parties across, their worth in shades."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure

from fedcore.explain.matrix import Matrix
from fedcore.explain.metric_words import title_of
from fedcore.explain.palette import INK
from fedcore.explain.plot_scores import BLUES
from fedcore.explain.wording import number

TEXT_PARTIES = 16  # more columns carry no numbers, only colour


def matrix(found: Matrix) -> Figure:
    """One cell per model and party; an empty cell means that nothing is known."""
    rows, columns = len(found.models), len(found.parties)
    size = (min(14.0, 3.6 + 0.9 * columns), min(14.0, 1.4 + 0.45 * rows))
    figure = Figure(figsize=size, layout="constrained")
    panel = figure.subplots()
    areas = np.array([[math.nan if one is None else one for one in row] for row in found.values])
    edges = (np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5)
    image = panel.pcolormesh(*edges, np.ma.masked_invalid(areas), cmap=BLUES, vmin=0.5, vmax=1)
    panel.invert_yaxis()
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)
    if columns <= TEXT_PARTIES:
        for (row, column), area in np.ndenumerate(areas):
            panel.text(column, row, number(float(area)), ha="center", va="center", color=INK)
    else:
        figure.colorbar(image, ax=panel, shrink=0.8, label=title_of(found.metric))
    panel.set_xticks(range(columns), found.parties, rotation=0 if columns <= 4 else 50)
    panel.set_yticks(range(rows), found.models)
    panel.set(xlabel="scored on the test data of")
    panel.set_title(f"{title_of(found.metric)} of every model at every party")
    return figure
