"""What this checkout costs on this machine, beside the machine's own limits: `make bench`.

Under three minutes, without any peer. First what the machine does at best (copying, hashing,
adding, writing), then what the project does with the same bytes, each beside its limit or target.
Run it before and after a change, on a machine that does nothing else: what can be compared between
two runs are ratios. `machine:` rows are limits, the last column says which way is better.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import combining
import numpy as np
import overhead
from codecs_speed import like_resnet18, speed, speeds
from local_training import CASES, compared
from typed import options

from fedcore.config.update import CODECS

PEERS = Path(__file__).resolve().parent / "peers"
PARTIES, BLOCK = 8, 2**16
HEAD = """\
| figure | measured | limit or target | measured / that | better |
|---|---|---|---|---|
"""


LIMITS = {
    "copy": "copying memory, one core",
    "sha256": "SHA-256, one core",
    "add": "adding with a weight, one core",
    "disk": "writing a file and flushing it",
}
LOWER = {"s", "MB"}  # units of what is better when it is less


@dataclass(frozen=True)
class Limits:
    """Of one core, in GB/s of float32 numbers or bytes."""

    copy: float
    sha256: float
    add: float
    disk: float


def main() -> None:
    parser = options(__doc__, turns=5, rounds=8)
    parser.add_argument("--child", action="store_true", help="for this program's own use")
    given = parser.parse_args()
    if given.child:
        print(neutral_round(given.rounds))
        return
    print(f"Load of the machine before: {os.getloadavg()[0]:.1f} (quiet is below 0.5)\n")
    limits = limits_of(given.turns)
    print(HEAD, end="", flush=True)
    for line in lines(limits, given.turns, given.rounds):
        print(line, flush=True)


def lines(limits: Limits, turns: int, rounds: int) -> Iterator[str]:
    """The rows of the table, each as soon as it is measured."""
    for name, value in vars(limits).items():
        yield line(f"machine: {LIMITS[name]}", value, "GB/s", None)
    yield from combined(limits)
    update = like_resnet18()
    for name in CODECS:
        yield from packed(name, speeds(update, name, turns), limits)
    yield simulated(limits, rounds)
    loop = compared(CASES[0], 3)
    yield line("local training, resnet18 at 64 pixels", loop["ratio"], "of a plain loop", 0.97)
    found = overhead.figures(2, rounds)
    each, mlflow = found["overhead per round and party, s"], found["MLflow per round, s"]
    yield line("Prefect and MLflow, of a round, for each party", each, "s", 0.15)
    yield line("MLflow, of a round", mlflow, "s", 0.05)


def limits_of(turns: int) -> Limits:
    """What one core does with the bytes of one update, the best of several turns."""
    flat = np.concatenate([np.ravel(array) for array in like_resnet18().values()])
    total, scratch = np.zeros_like(flat), np.empty(BLOCK, np.float32)

    def add() -> None:
        for start in range(0, len(flat), BLOCK):
            part = flat[start : start + BLOCK]
            np.multiply(part, np.float32(0.125), out=scratch[: len(part)])
            total[start : start + BLOCK] += scratch[: len(part)]

    with tempfile.NamedTemporaryFile() as file:

        def write() -> None:
            file.seek(0)
            file.write(flat.data)
            file.flush()
            os.fsync(file.fileno())

        acts = (flat.copy, lambda: hashlib.sha256(flat.data), add, write)
        return Limits(*(speed(act, flat.nbytes, turns) for act in acts))


def combined(limits: Limits) -> Iterator[str]:
    """The better of two rounds, each in a process of its own."""
    runs = [combining.in_a_process(PARTIES) for _ in range(2)]
    best = min(runs, key=lambda run: run["seconds"])
    pace = best["bytes"] / best["seconds"] / 1e9
    yield line(f"combining {PARTIES} parties, beside a copy", pace, "GB/s", limits.copy)
    bound = 1 / (1 / limits.sha256 + 1 / limits.add)
    yield line("combining, beside hashing and adding one after the other", pace, "GB/s", bound)
    yield line("combining, most memory of the process", max(run["peak"] for run in runs), "MB", 450)
    yield line("combining, of that for imports", max(run["imports"] for run in runs), "MB", None)


def packed(name: str, found: dict[str, float], limits: Limits) -> Iterator[str]:
    if name != "float32":  # packed as it is
        yield line(
            f"codec {name}, packing an update, beside a copy", found["pack"], "GB/s", limits.copy
        )
        yield line(f"codec {name}, unpacking, beside a copy", found["unpack"], "GB/s", limits.copy)
    yield line(
        f"codec {name}, unpacking and adding, beside adding", found["add"], "GB/s", limits.add
    )


def simulated(limits: Limits, rounds: int) -> str:
    """A round in which nobody trains; the least that it needs is every update hashed and added."""
    words = [sys.executable, __file__, "--child", "--rounds", str(rounds)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    size = sum(array.nbytes for array in like_resnet18().values())
    least = PARTIES * size * (1 / limits.sha256 + 1 / limits.add) / 1e9
    seconds = float(done.stdout.splitlines()[-1])
    name = f"simulated round, {PARTIES} parties, no training, beside hashing and adding"
    return line(name, seconds, "s", least)


def neutral_round(rounds: int) -> float:
    """Seconds of a round in this process, in the median."""
    sys.path.insert(0, str(PEERS))
    import ours  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        outcome = ours.run(PARTIES, rounds, "memory", Path(name) / "marks", Path(name))
        return statistics.median(overhead.periods(outcome.ledgers["coordinator"].path))


def line(words: str, measured: float, unit: str, against: float | None) -> str:
    said = f"| {words} | {measured:.3g} {unit} |"
    if against is None:
        return f"{said} | | |"
    better = "lower" if unit in LOWER else "higher"
    return f"{said} {against:.3g} {unit} | {measured / against:.2f} | {better} |"


if __name__ == "__main__":
    main()
