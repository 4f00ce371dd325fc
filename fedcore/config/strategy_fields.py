"""Which fields of `federation` belong to which strategy: where one would do nothing it is refused.

So nobody believes that a number counts which the chosen strategy never looks at. What stands at its
default is no matter: a file as run names every field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fedcore.config.robust import ROBUST
from fedcore.errors import listing

# A round of these closes when the first few replies are there; the others train on.
ASYNCHRONOUS = ("fedbuff", "fedasync")
ADAPTIVE = ("fedadam", "fedyogi", "fedadagrad")
# Field -> the strategies that look at it; all look at what is not named here or below.
ONLY_WITH: Mapping[str, tuple[str, ...]] = {
    "mu": ("fedprox",),
    "server_momentum": ("fedavgm",),
    "beta1": ADAPTIVE,
    "beta2": ("fedadam", "fedyogi"),
    "tau": ADAPTIVE,
    "initial_v": ADAPTIVE,
    "control": ("scaffold",),
    "head_epochs": ("fedrep",),
    "lam": ("ditto",),
    "hostile": ROBUST,
    "selected": ("multi_krum",),
    "max_norm": ("norm_clipping",),
    "buffer_size": ASYNCHRONOUS,
    "staleness_exponent": ASYNCHRONOUS,
    "mixing": ("fedasync",),
}


def left_aside(federation: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Field and remedy of all that the strategy of a section leaves aside, given there or not.

    `federation` is the section's plain content; what it does not say has its default.
    """
    strategy = federation.get("strategy", "fedavg")
    for field, users in ONLY_WITH.items():
        if strategy not in users:
            remedy = f"it counts with {listing(users)} alone, not with {strategy}: leave it out"
            yield field, remedy
    if strategy == "fedasync":
        yield "server_lr", "fedasync steps by mixing and staleness alone: leave it out"
    if strategy in (*ROBUST, "fedasync") and federation.get("weighting") != "equal":
        yield "weighting", f"{strategy} gives each party one vote: write equal, or leave it out"
    yield from _no_tree(strategy, federation.get("combining", "flat"))
    late = federation.get("late", "next_round" if strategy in ASYNCHRONOUS else "discard")
    if late != "next_round":
        yield "max_staleness", "late updates are lost: leave it out, or write late: next_round"


def _no_tree(strategy: str, combining: str) -> Iterator[tuple[str, str]]:
    """Only sums can be added up in groups, and only where a round waits for its parties."""
    if strategy in ROBUST:
        yield "combining", f"{strategy} looks at all updates side by side: write flat"
    elif strategy in ASYNCHRONOUS:
        yield "combining", f"a round of {strategy} closes with a few replies: write flat"
    if combining != "tree":
        yield "group_size", "all updates are one sum: leave it out, or write combining: tree"
