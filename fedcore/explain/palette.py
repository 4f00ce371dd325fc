"""One look for every figure: a colour and line for each party, the same in all of them.

The colours are those of Okabe and Ito (2008), told apart by people with any colour vision; dashes
repeat them for the seventh party and on. The federation is always near-black and thick.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

INK = "#1b2733"
MUTED = "#5b6b7a"
GRID = "#dfe5ea"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("-", "--", ":", "-.")
CROWD = 12  # with more parties than this, lines are no longer told apart by colour

RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "text.parse_math": False,  # a class named $5 is no formula
    "legend.frameon": False,
    "figure.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "fedcore",
}


def party_styles(parties: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Line properties by party id; in a crowd all are thin and grey."""
    names = list(parties)
    if len(names) > CROWD:
        return {name: {"color": "#9fb0bf", "lw": 0.8} for name in names}
    return {
        name: {
            "color": COLOURS[number % len(COLOURS)],
            "ls": DASHES[number // len(COLOURS) % len(DASHES)],
            "lw": 1.5,
        }
        for number, name in enumerate(names)
    }


def federated_style() -> dict[str, Any]:
    """Line properties of the federation: all parties together."""
    return {"color": INK, "lw": 2.6, "zorder": 5}
