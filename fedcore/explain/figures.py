"""The figures of a training, as PNG for MLflow and as SVG for the report.

Each drawing is a function from data to matplotlib's `Figure`; pyplot and its global state are not
used. A figure without data to show is not drawn.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fedcore.explain.matrix import matrix_of
from fedcore.explain.metric_words import title_of
from fedcore.explain.outcome import outcome_of
from fedcore.explain.palette import RC
from fedcore.explain.statistics_tables import DataStatistics
from fedcore.metrics import Scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fedcore.rounds.messages import Agreement, End, Record

DPI = 160


@dataclass(frozen=True)
class Drawing:
    """A figure that can be drawn: its file name, what it shows in words, and how."""

    name: str
    alt: str
    draw: Callable[[], Figure]

    def png(self) -> bytes:
        """The figure as PNG."""
        return self._rendered("png")

    def svg(self) -> str:
        """The figure as an `<svg>` element for a page: no prolog, ids that are its own."""
        text = self._rendered("svg").decode()
        return own_ids(text[text.index("<svg") :].strip(), self.name)

    def _rendered(self, form: str) -> bytes:
        import matplotlib  # noqa: PLC0415

        buffer = io.BytesIO()
        metadata = {"Date": None} if form == "svg" else {}
        with matplotlib.rc_context(RC):  # type: ignore[arg-type]
            self.draw().savefig(buffer, format=form, dpi=DPI, metadata=metadata)
        return buffer.getvalue()


def drawings(
    agreement: Agreement,
    records: Sequence[Record],
    end: End,
    statistics: DataStatistics | None = None,
) -> list[Drawing]:
    """The figures that have something to show, in the order of the report."""
    from fedcore.explain import plot_curves, plot_matrix, plot_scores  # noqa: PLC0415

    outcome = outcome_of(end)
    found = [] if statistics is None else _of_data(agreement, statistics)
    if records:
        names = " and ".join(map(title_of, plot_curves.panels_of(agreement)))
        alt = f"{names} on validation patients by round, per party and federated"
        found.append(
            Drawing("curves", alt, lambda: plot_curves.curves(agreement, records, end.best_round))
        )
    table = matrix_of(agreement, end)
    if table is not None:
        alt = f"{title_of(table.metric)} of every model on every party's test data"
        found.append(Drawing("matrix", alt, lambda: plot_matrix.matrix(table)))
    pooled = outcome.pooled
    if not isinstance(pooled, Scores):  # nobody reported, or a survival model without classes
        return found
    alt = "ROC curve of the best model on the test images"
    found.append(Drawing("roc", alt, lambda: plot_scores.roc(agreement, outcome)))
    alt = "Confusion matrix of the best model on the test images"
    found.append(Drawing("confusion", alt, lambda: plot_scores.confusion(outcome.classes, pooled)))
    alt = "Predicted probability against the observed share, on the test images"
    found.append(Drawing("calibration", alt, lambda: plot_scores.reliability(outcome, pooled)))
    return found


def _of_data(agreement: Agreement, statistics: DataStatistics) -> list[Drawing]:
    from fedcore.explain import plot_statistics  # noqa: PLC0415

    if not plot_statistics.shown_columns(statistics):
        return []
    alt = "Histograms of the data before the training, per party and of all together"
    return [Drawing("statistics", alt, lambda: plot_statistics.histograms(agreement, statistics))]


def write_figures(
    folder: Path,
    agreement: Agreement,
    records: Sequence[Record],
    end: End,
    statistics: DataStatistics | None = None,
) -> list[Path]:
    """Write each drawing that has data as PNG; the paths.

    `curves.png`, `matrix.png`, `roc.png`, `confusion.png`, `calibration.png`, `statistics.png`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for drawing in drawings(agreement, records, end, statistics):
        path = folder / f"{drawing.name}.png"
        path.write_bytes(drawing.png())
        written.append(path)
    return written


def own_ids(svg: str, name: str) -> str:
    """Prefix every id and every reference to one, so that figures can share a page."""
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    return svg.replace("url(#", f"url(#{name}-")
