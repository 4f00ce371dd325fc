"""The fault matrix: `python tests/faults/matrix.py [--only WORDS] [--page FILE]`.

Every fault strikes a training of its own, three rounds between two hospitals in the deployed form:
a hub, workers, SeaweedFS, Prefect and MLflow, each hospital in a network of its own where the
machine allows it. Takes about an hour on two cores; `--only` takes those whose name holds the words
and writes no page, or, with `--page`, their rows alone anew.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "faults"), str(ROOT)]

from ambient import AMBIENT, environment_of  # noqa: E402
from fault_kinds import Fault, kills  # noqa: E402
from fault_lines import of_answers, of_lines  # noqa: E402
from fault_machines import machines  # noqa: E402
from stage import Outcome, Stage, play, stage  # noqa: E402

PAGE = ROOT / "docs" / "results-faults.md"
HEAD = """# What a fault does

Every row is a training of its own, three rounds between two hospitals, in the deployed form: hub,
workers, exchange, Prefect and MLflow as real processes, {place}. The fault strikes in
round 2, at a step that is held still for it. "Seconds" run from the fault to the end of the
training; the quickest row took {calm:.0f}. "Rounds lost" counts rounds whose model lacks a
hospital's update. Every row without a mark ended with models that are bit-identical to those of
the undisturbed training in one process.

`python tests/faults/matrix.py` writes this page.

| fault | what happened | seconds to the end | rounds lost |
|---|---|---|---|
"""


def all_faults() -> list[Fault]:
    """The matrix, row by row."""
    return [*kills(), *of_lines(), *of_answers(), *machines()]


def main() -> int:
    """Play them all; the exit code says whether every training ended with the right weights."""
    args = _arguments()
    for number in (signal.SIGINT, signal.SIGTERM):  # in the background SIGINT would be ignored
        signal.signal(number, signal.default_int_handler)
    chosen = [one for one in all_faults() if args.only.lower() in one.title.lower()]
    for name in AMBIENT:
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        own = Path(name) / "own"
        own.mkdir()
        os.environ.update(environment_of(own))
        page = args.page or (None if args.only else PAGE)
        with stage(Path(name)) as on:
            outcomes = _play_all(on, chosen, page)
    return 0 if all(one.survived for one in outcomes) else 1


def _play_all(on: Stage, chosen: list[Fault], page: Path | None) -> list[Outcome]:
    """One after the other; the page is written after each, so that an early end leaves it."""
    place = "each in a network of its own" if on.world.net.apart else "on one machine"
    outcomes: list[Outcome] = []
    for fault in chosen:
        outcomes.append(play(on, fault.title, fault.act))
        print(row(outcomes[-1]), flush=True)
        if page is not None:
            write(page, outcomes, place)
    return outcomes


def write(page: Path, outcomes: list[Outcome], place: str) -> None:
    """The page with all rows."""
    rows = {one.title: "" for one in all_faults()} | _standing(page)
    rows |= {one.name: row(one) for one in outcomes}
    times = [line.split("|")[3].strip() for line in rows.values() if line]
    calm = min((float(one) for one in times if one != "-"), default=0.0)
    lines = "".join(f"{line}\n" for line in rows.values() if line)
    page.write_text(HEAD.format(place=place, calm=calm) + lines, encoding="utf-8")


def _standing(page: Path) -> dict[str, str]:
    """The rows of an earlier play, by the fault's title."""
    known = {one.title for one in all_faults()}
    lines = page.read_text("utf-8").splitlines() if page.exists() else []
    rows = {line.split("|")[1].strip(): line for line in lines if line.startswith("|")}
    return {title: line for title, line in rows.items() if title in known}


def row(one: Outcome) -> str:
    """An outcome as a line of the table."""
    seconds = "-" if one.seconds is None else f"{one.seconds:.0f}"
    wrong = (
        "**no end**: " if one.seconds is None else "" if one.same_bits else "**other weights**: "
    )
    return f"| {one.name} | {wrong}{one.happened} | {seconds} | {one.lost} |"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help="faults whose name holds these words")
    parser.add_argument("--page", type=Path, help="write the table here")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
