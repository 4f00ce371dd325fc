"""A round's cost beside Flower's, in one process each: `python tests/benchmarks/peers/__main__.py`.

The peer is installed into its own environment under `--cache` the first time. `--write` puts the
table into docs/results-peers.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import page
from environment import FLOWER, default_cache, python_of, versions
from measuring import WARM_UP, Figures, measure

HERE = Path(__file__).resolve().parent
AGAINST = "Flower"
# No arm says anything to anybody outside.
QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0"}
LIMIT = 600.0


def main() -> None:
    given = _given()
    flower = python_of(given.cache, "flower", FLOWER)
    said = f"{versions(flower, 'flwr', 'ray', 'numpy')} against "
    said += versions(Path(sys.executable), "fedcore", "torch", "numpy")
    print(said, page.machine(), sep="\n", flush=True)
    before, runs = page.machine(), _run_all(given, _arms(flower))
    table = page.table(runs, AGAINST)
    print(table)
    if given.write:
        head = page.TEXT.format(warm_up=WARM_UP, repeats=given.repeats, rounds=given.rounds)
        machines = f"{said}.\n\nBefore: {before}\n\nAfter: {page.machine()}\n"
        page.write(f"{head}{table}\n{machines}")


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--parties", type=int, nargs="+", default=[2, 8, 16])
    parser.add_argument("--rounds", type=int, default=8, help="3 or more")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=default_cache())
    parser.add_argument("--quick", action="store_true", help="2 parties, 4 rounds, once")
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    given = parser.parse_args()
    if given.quick:
        given.parties, given.rounds, given.repeats = [2], 4, 1
    if given.rounds <= WARM_UP:
        parser.error(f"--rounds is {given.rounds}: the first {WARM_UP} are left out, say more")
    return given


def _arms(flower: Path) -> dict[str, Sequence[str | Path]]:
    """Name -> what is run and how, before parties and rounds: interpreter, script, variant."""
    own = Path(sys.executable)
    return {
        "Flower": (flower, HERE / "flower_app.py", "scored"),
        "Flower, training alone": (flower, HERE / "flower_app.py", "plain"),
        "fedcore, memory": (own, HERE / "ours.py", "memory"),
        "fedcore, folder": (own, HERE / "ours.py", "folder"),
    }


def _run_all(given: argparse.Namespace, arms: dict) -> dict[tuple[int, str], list[Figures]]:
    """Every arm in turn, and all of that again for each repeat."""
    runs: dict[tuple[int, str], list[Figures]] = {
        (parties, name): [] for parties in given.parties for name in arms
    }
    for turn in range(given.repeats):
        for (parties, name), figures in runs.items():
            python, script, variant = arms[name]
            command = [python, script, str(parties), str(given.rounds), variant]
            found = measure(command, QUIET, LIMIT)
            figures.append(found)
            print(f"{turn + 1}: {parties} parties, {name}: {found}", flush=True)
    return runs


if __name__ == "__main__":
    main()
