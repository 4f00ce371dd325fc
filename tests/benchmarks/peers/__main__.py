"""A round's cost beside others': `python tests/benchmarks/peers/__main__.py`.

In one process and deployed, see arms.py. The peers are installed into environments of their own
under `--cache` the first time. `--write` puts the tables into docs/results-peers.md. All of it
takes an hour for each repeat: `--keep FILE` holds the figures, so that a later command runs only
what is missing, and shows all.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import page
from arms import DEPLOYED, KINDS, ONE, Arm, all_versions, arms
from environment import default_cache
from kept import Kept
from measuring import WARM_UP, Failed, Figures, measure
from page_text import HEAD, TEXT
from processes import nothing_left

# No arm says anything to anybody outside, or listens to anybody there.
QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray listens on 127.0.0.1 alone, as it does everywhere but on Linux.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}


def main() -> None:
    given = _given()
    every = arms(given.cache, given.kind)
    if unknown := set(given.arms) - {one.name for one in every}:
        sys.exit(f"--arms {sorted(unknown)[0]!r}: name some of {sorted(one.name for one in every)}")
    kept = Kept(given.keep, given.rounds)
    said = all_versions(given.cache)
    before = page.machine()
    print(said, before, sep="\n", flush=True)
    runs = {(parties, arm): kept.of(parties, arm) for parties in given.parties for arm in every}
    runs = {at: found for at, found in runs.items() if found or _wanted(given, at[1])}
    with nothing_left():
        failed = _run_all(given, runs, kept)
    text = HEAD.format(warm_up=WARM_UP, repeats=given.repeats, rounds=given.rounds)
    text += "".join(TEXT[kind] + page.table(runs, kind, given.repeats) for kind in given.kind)
    text += f"\n{said}.\n\nBefore: {before}\n\nAfter: {page.machine()}\n"
    print(text)
    if given.write:
        page.write(text)
    if failed:
        sys.exit(f"{failed} runs failed")


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=[ONE, DEPLOYED])
    parser.add_argument("--parties", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--rounds", type=int, default=6, help=f"{WARM_UP + 1} or more")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds for a run")
    parser.add_argument("--arms", nargs="+", default=[], help="their names; all by default")
    parser.add_argument("--keep", type=Path, help="file with the figures of earlier commands")
    parser.add_argument("--cache", type=Path, default=default_cache())
    parser.add_argument("--quick", action="store_true", help="2 parties, 4 rounds, once")
    parser.add_argument("--write", action="store_true", help="put the tables into the page")
    given = parser.parse_args()
    if given.quick:
        given.parties, given.rounds, given.repeats = [2], 4, 1
    if given.rounds <= WARM_UP:
        parser.error(f"--rounds is {given.rounds}: the first {WARM_UP} are left out, say more")
    return given


def _wanted(given: argparse.Namespace, arm: Arm) -> bool:
    return not given.arms or arm.name in given.arms


def _run_all(
    given: argparse.Namespace, runs: dict[tuple[int, Arm], list[Figures]], kept: Kept
) -> int:
    """Every arm in turn, and all of that again for each repeat; how many runs failed."""
    failed = 0
    for turn in range(given.repeats):
        for (parties, arm), figures in runs.items():
            if len(figures) > turn or not _wanted(given, arm):
                continue
            said = f"{turn + 1}: {parties} parties, {arm.kind}, {arm.name}: "
            try:
                command = arm.command(parties, given.rounds)
                figures.append(measure(command, QUIET, given.rounds, given.limit))
                kept.add(parties, arm, figures[-1])
                print(said, figures[-1], flush=True)
            except Failed as failure:
                failed += 1
                print(f"{said}FAILED\n{failure}", file=sys.stderr, flush=True)
    return failed


if __name__ == "__main__":
    main()
