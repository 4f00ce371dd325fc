"""What adding one update is made of: `python tests/benchmarks/adding.py [--write]`, in seconds.

An update of resnet18's size in memory, as it arrives: copied, hashed, looked at, added. All steps
in turn, the fastest of many turns of each. Beside the update's bytes stand those that pass
through the memory: a copy reads and writes each byte; adding reads 4 and reads and writes a float64
for each number. All is compared with the fastest copy, by one thread or by all.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from codecs_speed import like_resnet18
from docs_page import written_between
from typed import options

from fedcore.crew import Crew, Floats, cores_here
from fedcore.exchange import codec
from fedcore.params import finite_norm
from fedcore.strategies.mean import WeightedMean

PAGE = Path(__file__).resolve().parents[2] / "docs" / "results-costs.md"
HEAD = """\
| step | threads | ms | GB/s of the update | of a copy's | GB/s through the memory | of a copy's |
|---|---|---|---|---|---|---|
"""
# How many bytes a step moves for each byte of the update.
COPY, READ, ADD = 2, 1, 5
Step = tuple[str, int, int, Callable[[], object]]


def main() -> None:
    parser = options(__doc__, turns=100)
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    args = parser.parse_args()
    text = HEAD + "".join(rows(args.turns))
    print(text)
    if args.write:
        written_between(PAGE, "adding", text)


def rows(turns: int) -> list[str]:
    body = codec.encode(like_resnet18())
    found = steps(body, sorted({1, cores_here()}))
    took = [min(times) for times in zip(*(map(timed, found) for _ in range(turns)), strict=True)]
    copy = min(one for (_, _, moves, _), one in zip(found, took, strict=True) if moves == COPY)
    return [row(step, one, len(body), copy) for step, one in zip(found, took, strict=True)]


def steps(body: memoryview, threads: list[int]) -> list[Step]:
    """Name, threads, bytes moved for each byte, and what is done."""
    flat = np.frombuffer(body, np.uint8)
    there, update = np.empty_like(flat), codec.views(body)
    found: list[Step] = []
    for count in threads:
        crew = Crew(count)
        copied = partial(copy_by, crew, there, flat)
        found.append(("a copy onto memory in use", count, COPY, copied))
    found.append(("a copy into fresh memory", 1, COPY, flat.copy))
    found.append(("SHA-256", 1, READ, lambda: hashlib.sha256(body).digest()))
    for count in threads:
        measure = partial(finite_norm, update, "control/", partial(Crew, count))
        found.append(("NaN, infinity and norm", count, READ, measure))
    for count in threads:
        mean = WeightedMean(partial(Crew, count))
        found.append(("weigh and add in float64", count, ADD, partial(mean.add, update, 3.0)))
    return found


def copy_by(crew: Crew, there: np.ndarray, flat: np.ndarray) -> None:
    def copy(_: int, part: slice, __: Floats) -> None:
        there[part] = flat[part]

    crew.each_block([len(flat)], copy)


def timed(step: Step) -> float:
    begun = time.perf_counter()
    step[-1]()
    return time.perf_counter() - begun


def row(step: Step, took: float, size: int, copy: float) -> str:
    name, threads, moves, _ = step
    pace, best = size / took / 1e9, size / copy / 1e9
    through = f"{pace * moves:.1f} | {pace * moves / (best * COPY):.2f}"
    return (
        f"| {name} | {threads} | {took * 1e3:.1f} | {pace:.1f} | {pace / best:.2f} | {through} |\n"
    )


if __name__ == "__main__":
    main()
