"""All kills, one after the other, into a table: `python tests/faults/kill_table.py [FILE]`.

Takes about ten minutes on two cores. A training of three rounds between a guest and a host that
meet in a folder; each row is one `kill -9` and a start of the same command.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults_kills import MOMENTS, WHO, Outcome, kill_and_go_on
from rounds_story import hospitals, task_file

from fedcore.params import digest
from fedcore.simulation import World, simulate

HEAD = """# What a kill does

`kill -9` of one party's command, or of both, in a training of three rounds, and the same command
started again at once. "Same bits": both parties' best and final model are bit-identical to those
of the uninterrupted training in one process. Seconds run from the kill to the end of the whole
training, two starts of Python, torch and Prefect included.

| killed | while | same bits | seconds to the end |
|---|---|---|---|
"""


def main(target: Path) -> int:
    """Run all and write the table; the exit code says whether every row has the same bits."""
    task = task_file(epochs=3)
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        folder = Path(name)
        data = hospitals(folder / "data")
        whole = simulate(task, data, World(folder / "whole"))
        expected = digest(whole.best), digest(whole.final)
        for who in WHO:
            for moment in MOMENTS:
                place = folder / f"{who}-{moment}".replace(" ", "-")
                outcomes.append(kill_and_go_on(place, task, data, expected, who, moment))
                print(_row(outcomes[-1]), flush=True)
    target.write_text(HEAD + "".join(f"{_row(one)}\n" for one in outcomes))
    return 0 if all(one.same_bits for one in outcomes) else 1


def _row(one: Outcome) -> str:
    same = "yes" if one.same_bits else "NO"
    return f"| {one.who} | {one.moment} | {same} | {one.seconds:.0f} |"


if __name__ == "__main__":
    default = Path(__file__).resolve().parents[2] / "docs" / "results-kills.md"
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else default))
