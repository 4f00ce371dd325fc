"""A process and all its children, watched from outside through /proc until it ends."""

from __future__ import annotations

import bisect
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

EVERY = 0.1
WARM_UP = 2
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Figures:
    """Of one run, all processes together.

    Seconds and CPU seconds per round without the first two, seconds from the start of the process
    to the end of the first round, and the peak of the largest process in MB.
    """

    seconds: float
    processor: float
    start: float
    peak: float


@dataclass
class Watched:
    """What was seen so far: CPU seconds of all processes over time, each one's peak in KB."""

    times: list[float] = field(default_factory=list)
    spent: list[float] = field(default_factory=list)
    processor: dict[int, float] = field(default_factory=dict)
    peaks: dict[int, int] = field(default_factory=dict)

    def look(self, root: int) -> None:
        for pid in _tree(root):
            self._look_at(pid)
        self.times.append(time.monotonic())
        self.spent.append(sum(self.processor.values()))

    def spent_until(self, moment: float) -> float:
        place = min(bisect.bisect_left(self.times, moment), len(self.times) - 1)
        return self.spent[place]

    def _look_at(self, pid: int) -> None:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
            status = Path(f"/proc/{pid}/status").read_text("utf-8")
        except (FileNotFoundError, ProcessLookupError):
            return
        self.processor[pid] = (int(fields[11]) + int(fields[12])) / TICKS
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                self.peaks[pid] = int(line.split()[1])


def measure(command: Sequence[str | Path], more: Mapping[str, str], limit: float) -> Figures:
    """Run `command` with a file for its marks as the last argument; ends this process if it fails.

    The first mark is the beginning of the first round, each further one the end of a round.
    """
    with tempfile.TemporaryDirectory(prefix="pr-") as name:
        marks, said = Path(name) / "marks", Path(name) / "said"
        environment = {**os.environ, "RAY_TMPDIR": name, "FLWR_HOME": name, **more}
        begun, watched = time.monotonic(), Watched()
        with said.open("wb") as out:
            child = subprocess.Popen([*command, marks], stdout=out, stderr=out, env=environment)
            while child.poll() is None:
                watched.look(child.pid)
                if time.monotonic() - begun > limit:
                    child.kill()
                time.sleep(EVERY)
        if child.returncode != 0:
            print(said.read_text("utf-8", "replace")[-4000:], file=sys.stderr)
            sys.exit(f"{command[1]}: ended with {child.returncode}")
        return _figures(begun, [float(line) for line in marks.read_text().split()], watched)


def _figures(begun: float, marks: list[float], watched: Watched) -> Figures:
    steady = marks[1 + WARM_UP :]
    before = marks[WARM_UP]
    rounds = [end - start for start, end in pairwise([before, *steady])]
    spent = watched.spent_until(steady[-1]) - watched.spent_until(before)
    return Figures(
        seconds=statistics.median(rounds),
        processor=spent / len(rounds),
        start=marks[1] - begun,
        peak=max(watched.peaks.values()) / 1024 * 1.048576,
    )


def _tree(root: int) -> list[int]:
    """The process and all that descend from it, wherever they stand by now."""
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                waiting += [int(one) for one in path.read_text("ascii").split()]
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found
