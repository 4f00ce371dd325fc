"""The course of a training: the few metrics that matter most, per party and federated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fedcore.explain.metric_words import brief, title_of
from fedcore.explain.outcome import guest_first
from fedcore.explain.palette import CROWD, MUTED, federated_style, party_styles

if TYPE_CHECKING:
    from fedcore.rounds.messages import Agreement, PartyResult, Record

FEW = 25  # up to this many rounds, each is marked by a dot


def curves(agreement: Agreement, records: Sequence[Record], best_round: int) -> Figure:
    """A panel per metric over the rounds; gaps where a party was absent or withheld its numbers."""
    figure = Figure(figsize=(10, 3.5), layout="constrained")
    panels = panels_of(agreement)
    axes: Sequence[Axes] = figure.subplots(1, len(panels))
    for panel, metric in zip(axes, panels, strict=True):
        _draw_panel(panel, agreement, records, metric)
        _dress_panel(panel, len(records), best_round, metric)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(6, len(labels)))
    return figure


def panels_of(agreement: Agreement) -> tuple[str, ...]:
    """The metric of each panel, by the agreement's task."""
    task = agreement.task
    return brief(str(task["task_type"]), str(task["federation"]["select_by"]))[::-1]


def _draw_panel(panel: Axes, agreement: Agreement, records: Sequence[Record], metric: str) -> None:
    rounds = [record.round for record in records]
    dots: dict[str, Any] = {"marker": "o", "ms": 3} if len(rounds) <= FEW else {}
    members = guest_first(agreement)
    styles = party_styles(member.party_id for member in members)
    for number, member in enumerate(members):
        values = [_number(record.parties.get(member.party_id), metric) for record in records]
        label = _label(member.label, number, len(members))
        if np.isnan(values).all() and len(members) <= CROWD:
            label = f"{label} (withheld)"
        panel.plot(rounds, values, label=label, **styles[member.party_id], **dots)
    values = [_number(record, metric) for record in records]
    panel.plot(rounds, values, label="federated", **federated_style(), **dots)


def _dress_panel(panel: Axes, rounds: int, best_round: int, metric: str) -> None:
    panel.set_title(f"{title_of(metric)} (validation)")
    panel.set_xlabel("round")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    panel.axvline(best_round, color=MUTED, lw=1, ls=(0, (2, 2)), zorder=1)
    panel.annotate(
        "best",
        (best_round, 1 if metric == "loss" else 0),  # where the curve is not
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        xytext=(-3, -2 if metric == "loss" else 3),
        ha="right",
        va="top" if metric == "loss" else "bottom",
        color=MUTED,
        fontsize=8,
    )
    if metric.endswith("accuracy"):
        panel.yaxis.set_major_formatter(PercentFormatter(1.0))
    if rounds == 1:
        panel.set_xlim(best_round - 1, best_round + 1)


def _label(label: str, number: int, parties: int) -> str:
    """Each party by name; in a crowd one entry for all."""
    if parties <= CROWD:
        return label
    return f"each of {parties} parties" if number == 0 else "_nolegend_"


def _number(source: Record | PartyResult | None, metric: str) -> float:
    value = getattr(source, metric, None)
    return math.nan if value is None else float(value)
