"""The table of a comparison: medians over the repeats, and ratios within the same run."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from measuring import Figures

PAGE = Path(__file__).resolve().parents[3] / "docs" / "results-peers.md"
Runs = Mapping[tuple[int, str], Sequence[Figures]]
HEAD = """\
| parties | | s per round | ratio | lowest-highest | CPU s per round | start, s | ratio | peak, MB |
|---|---|---|---|---|---|---|---|---|
"""
TEXT = """\
# The cost of a round beside others'

`python tests/benchmarks/peers/__main__.py` installs Flower into an environment of its own and runs
the same neutral work in both: resnet18 with 2 classes (11.2 M numbers in 122 arrays, 44.75 MB),
parties that return a perturbed model at once, FedAvg: all is overhead. In `fedcore.simulation`
the loop over batches and the pass over the images are replaced, and nothing else: every message is
signed, every model hashed and written once, every ledger kept.

`Flower, training alone` sends no model to be evaluated; `Flower` evaluates each round's model at
every client, its default and what fedcore does, too. Flower's clients are numpy here and do not
import torch; fedcore's parties have a real network.

Seconds per round: median of the rounds after the first {warm_up} of a run. Start: from the start
of the process to the end of the first round. Peak: the largest process of the run. All are medians
over {repeats} runs of {rounds} rounds, taken in turn; ratios are to `Flower`.

"""


def table(runs: Runs, against: str) -> str:
    rows = [_row(parties, arm, runs, against) for parties, arm in runs]
    return HEAD + "".join(rows)


def write(text: str) -> None:
    PAGE.write_text(text, "utf-8")


def machine() -> str:
    """Cores and how busy they were."""
    one, five, _ = os.getloadavg()
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python "
        f"{platform.python_version()}; load {one:.1f} over the last minute, {five:.1f} over five."
    )


def _row(parties: int, arm: str, runs: Runs, against: str) -> str:
    found, peer = runs[parties, arm], runs[parties, against]
    seconds, start = _median(found, "seconds"), _median(found, "start")
    low, high = min(one.seconds for one in found), max(one.seconds for one in found)
    cells = [
        f"{seconds:.2f}",
        f"{seconds / _median(peer, 'seconds'):.2f}",
        f"{low:.2f}-{high:.2f}",
        f"{_median(found, 'processor'):.2f}",
        f"{start:.1f}",
        f"{start / _median(peer, 'start'):.2f}",
        f"{_median(found, 'peak'):.0f}",
    ]
    return f"| {parties} | {arm} | {' | '.join(cells)} |\n"


def _median(found: Sequence[Figures], name: str) -> float:
    return statistics.median(getattr(one, name) for one in found)
