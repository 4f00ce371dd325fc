"""The final test as pictures: ROC curves, confusion matrix, reliability diagram."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fedcore.explain.outcome import Outcome, guest_first
from fedcore.explain.palette import COLOURS, CROWD, INK, MUTED, federated_style, party_styles
from fedcore.metrics import Ints, Scores
from fedcore.metrics_bins import area_under_roc, calibration, roc_curve

if TYPE_CHECKING:
    from fedcore.rounds.messages import Agreement

SIZE = (4.9, 4.5)
SHOWN_CLASSES = 10
TEXT_CLASSES = 8  # larger confusion matrices carry no numbers, only colour
BLUES = LinearSegmentedColormap.from_list("blues", ["#f4f8fb", "#62b0dc"])  # under dark text


def roc(agreement: Agreement, outcome: Outcome) -> Figure:
    """Two classes: a curve per party and the pooled one. More: a pooled curve per class."""
    figure = Figure(figsize=SIZE, layout="constrained")
    panel = figure.subplots()
    panel.plot([0, 1], [0, 1], color=MUTED, lw=1, ls=(0, (2, 2)))
    if outcome.binary:
        _roc_per_party(panel, agreement, outcome)
        panel.set_title(f"ROC: {_short(outcome.classes[1])} against {_short(outcome.classes[0])}")
    else:
        _roc_per_class(panel, outcome)
        panel.set_title("ROC: each class against the rest, pooled")
    panel.set(xlabel="false positive rate (1 - specificity)", ylabel="true positive rate")
    panel.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    if panel.get_legend_handles_labels()[1]:
        panel.legend(loc="lower right", fontsize=8, title="AUROC", alignment="left")
    return figure


def _roc_per_party(panel: Axes, agreement: Agreement, outcome: Outcome) -> None:
    members = guest_first(agreement)
    styles = party_styles(member.party_id for member in members)
    reported = outcome.by_class
    for member in members:
        scores = reported.get(member.party_id)
        if scores is not None:
            name = member.label if len(members) <= CROWD else "_nolegend_"
            _curve(panel, scores.histograms[1], name, **styles[member.party_id])
    if isinstance(outcome.pooled, Scores):
        _curve(panel, outcome.pooled.histograms[1], "pooled", **federated_style())


def _roc_per_class(panel: Axes, outcome: Outcome) -> None:
    """The classes with the most images, when there are too many to tell apart."""
    pooled = outcome.pooled
    if not isinstance(pooled, Scores):
        return
    largest = np.argsort(-pooled.confusion.sum(axis=1), kind="stable")[:SHOWN_CLASSES]
    styles = party_styles(str(number) for number in range(len(largest)))
    for style, number in zip(styles.values(), sorted(largest), strict=True):
        _curve(panel, pooled.histograms[number], _short(outcome.classes[number]), **style)


def _curve(panel: Axes, histogram: Ints, name: str, **style: Any) -> None:
    area = area_under_roc(histogram[0], histogram[1])
    if np.isnan(area):  # one of the two kinds of image is missing: there is no curve
        return
    label = name if name.startswith("_") else f"{area:.3f}  {name}"
    false, true = roc_curve(histogram[0], histogram[1])
    panel.plot(false, true, label=label, **style)


def confusion(classes: tuple[str, ...], pooled: Scores) -> Figure:
    """Rows are the truth, columns the prediction; shares are of the row."""
    figure = Figure(figsize=SIZE, layout="constrained")
    panel = figure.subplots()
    counts = pooled.confusion
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    edges = np.arange(len(classes) + 1) - 0.5
    image = panel.pcolormesh(edges, edges, shares, cmap=BLUES, vmin=0, vmax=1)  # stays a drawing
    panel.invert_yaxis()
    panel.set_aspect("equal")
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)
    if len(classes) <= TEXT_CLASSES:
        _write_cells(panel, counts, shares)
    else:
        label = "share of the true class"
        figure.colorbar(image, ax=panel, shrink=0.8, label=label, format=PercentFormatter(1.0))
    _name_classes(panel, classes)
    panel.set_title(f"Confusion matrix, {pooled.images:,} test images")
    return figure


def _write_cells(panel: Axes, counts: Ints, shares: np.ndarray) -> None:
    size = 14 if len(counts) <= 3 else 8
    for (row, column), count in np.ndenumerate(counts):
        text = f"{count:,}\n{shares[row, column]:.1%}"
        panel.text(column, row, text, ha="center", va="center", color=INK, fontsize=size)


def _name_classes(panel: Axes, classes: tuple[str, ...]) -> None:
    """Every class by name, or, in a crowd, numbers at a readable distance."""
    panel.set(xlabel="predicted", ylabel="true")
    if len(classes) > 20:
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.yaxis.set_major_locator(MaxNLocator(integer=True))
        panel.set(xlabel="predicted (class number)", ylabel="true (class number)")
        return
    places, names = range(len(classes)), [_short(name, 14) for name in classes]
    panel.set_xticks(places, names, rotation=0 if len(classes) <= 3 else 50)
    panel.set_yticks(places, names)


def reliability(outcome: Outcome, pooled: Scores) -> Figure:
    """Observed share against mean predicted probability, and how many predictions stand behind.

    With two classes of the second one; with more, of all classes, each against the rest. The
    reliability diagram is that of DeGroot and Fienberg, The Statistician 32 (1983).
    """
    columns = [1] if outcome.binary else range(len(outcome.classes))
    negatives, positives = pooled.histograms[columns].sum(axis=0)
    rows = calibration(negatives, positives)
    figure = Figure(figsize=SIZE, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color=MUTED, lw=1, ls=(0, (2, 2)), label="perfect calibration")
    means, shares, counts = ([row[place] for row in rows] for place in range(3))
    upper.plot(means, shares, color=COLOURS[0], marker="o", ms=5, lw=1.5, label="pooled")
    lower.bar(means, counts, width=0.06, color=COLOURS[0])
    subject = _short(outcome.classes[1]) if outcome.binary else "all classes against the rest"
    upper.set_title(f"Calibration: {subject}")
    upper.set(ylabel="observed share", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    upper.legend(loc="upper left", fontsize=8)
    lower.set(xlabel="mean predicted probability", ylabel="images" if outcome.binary else "count")
    lower.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    return figure


def _short(name: str, width: int = 22) -> str:
    return f"{name[: width - 1]}…" if len(name) > width else name
