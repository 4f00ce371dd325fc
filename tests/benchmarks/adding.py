"""What adding one update is made of: `python tests/benchmarks/adding.py [--write]`, in seconds.

An update of resnet18's size in memory: copied, hashed, looked at, added. One thread, the fastest
of several turns. Beside the update's bytes per second stand those that pass through the memory: a
copy reads and writes each byte; adding reads 4 and reads and writes a float64 for each number.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from codecs_speed import like_resnet18, speed
from docs_page import written_between
from typed import options

from fedcore.params import finite_norm
from fedcore.strategies.mean import WeightedMean

PAGE = Path(__file__).resolve().parents[2] / "docs" / "results-costs.md"
HEAD = """\
| step | ms | GB/s of the update | of a copy's | GB/s through the memory | of a copy's |
|---|---|---|---|---|---|
"""


def main() -> None:
    parser = options(__doc__, turns=20)
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    args = parser.parse_args()
    text = HEAD + "".join(rows(args.turns))
    print(text)
    if args.write:
        written_between(PAGE, "adding", text)


def rows(turns: int) -> list[str]:
    update = like_resnet18()
    flat = np.concatenate([np.ravel(array) for array in update.values()])
    there, body, mean = np.empty_like(flat), flat.tobytes(), WeightedMean()
    mean.add(update, 1.0)
    copy = speed(lambda: np.copyto(there, flat), flat.nbytes, turns)
    steps = {
        # name: what is done, and how many bytes it moves for each byte of the update
        "`np.copyto` onto memory in use": (copy, 2),
        "a copy into fresh memory": (speed(flat.copy, flat.nbytes, turns), 2),
        "SHA-256": (speed(lambda: hashlib.sha256(body).digest(), flat.nbytes, turns), 1),
        "NaN, infinity and norm": (
            speed(lambda: finite_norm(update, "control/"), flat.nbytes, turns),
            1,
        ),
        "weigh and add in float64": (speed(lambda: mean.add(update, 3.0), flat.nbytes, turns), 5),
    }
    return [row(name, flat.nbytes, *one, copy) for name, one in steps.items()]


def row(name: str, size: int, found: float, moves: int, copy: float) -> str:
    numbers = f"{size / found / 1e6:.1f} | {found:.1f} | {found / copy:.2f}"
    return f"| {name} | {numbers} | {found * moves:.1f} | {found * moves / (2 * copy):.2f} |\n"


if __name__ == "__main__":
    main()
