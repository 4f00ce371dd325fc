"""A process and all its children, watched from outside through /proc until it ends."""

from __future__ import annotations

import bisect
import os
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from neutral import notes_of
from processes import end_all, seconds, tree

EVERY = 0.2
WARM_UP = 2
PATIENCE = 60.0
KB = 1024 / 1e6


class Failed(Exception):
    """A run that did not do all its rounds, and what it said last."""


@dataclass(frozen=True)
class Figures:
    """Of one run, all processes together.

    Seconds and CPU seconds per round without the first two; seconds to the end of the first round
    from the start of the processes and, deployed, from the moment when the training is handed in;
    the peak of the process that combines and of the largest one, in MB.
    """

    seconds: float
    processor: float
    start: float
    submitted: float | None
    combining: float | None
    largest: float


@dataclass
class Watched:
    """What was seen so far: CPU seconds of all processes over time, each one's peak in MB."""

    times: list[float] = field(default_factory=list)
    spent: list[float] = field(default_factory=list)
    peaks: dict[int, float] = field(default_factory=dict)

    def look(self, root: int) -> None:
        found = tree(root)
        self.times.append(time.monotonic())
        self.spent.append(sum(seconds(fields) for fields in found.values()))
        for pid in found:
            with suppress(FileNotFoundError, ProcessLookupError):
                self._look_at(pid)

    def spent_until(self, moment: float) -> float:
        return self.spent[min(bisect.bisect_left(self.times, moment), len(self.times) - 1)]

    def _look_at(self, pid: int) -> None:
        for line in Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines():
            if line.startswith("VmHWM:"):
                self.peaks[pid] = int(line.split()[1]) * KB


def measure(
    command: Sequence[str | Path], more: Mapping[str, str], rounds: int, limit: float
) -> Figures:
    """Run `command` with a file for its marks as the last argument.

    The first mark is the beginning of the first round, each further one the end of a round. Raises
    `Failed` where a mark is missing or the command fails; nothing that it started is left.
    """
    with tempfile.TemporaryDirectory(prefix="pr-") as name:
        marks, said = Path(name) / "marks", Path(name) / "said"
        environment = {**os.environ, "RAY_TMPDIR": name, "FLWR_HOME": name, **more}
        begun, watched = time.monotonic(), Watched()
        with said.open("wb") as out:
            child = subprocess.Popen([*command, marks], stdout=out, stderr=out, env=environment)
            try:
                _watch(child, watched, begun + limit)
            finally:
                _end(child)
        found = _read(marks)
        if child.returncode != 0 or len(found) != rounds + 1:
            text = said.read_text("utf-8", "replace")[-4000:]
            raise Failed(f"{text}\nended with {child.returncode}, {len(found)} marks")
        return _figures(_notes(marks, begun), found, watched)


def _watch(child: subprocess.Popen, watched: Watched, end: float) -> None:
    while child.poll() is None and time.monotonic() < end:
        watched.look(child.pid)
        time.sleep(EVERY)


def _end(child: subprocess.Popen) -> None:
    """End the command, should it still run, and whatever it has left behind."""
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.wait(PATIENCE)
        child.kill()
        child.wait()
    end_all(patience=1.0)


def _read(marks: Path) -> list[tuple[float, int]]:
    """Time and process of each mark."""
    if not marks.exists():
        return []
    lines = [line.split() for line in marks.read_text("ascii").splitlines()]
    return [(float(moment), int(pid)) for moment, pid in lines]


def _notes(marks: Path, begun: float) -> dict[str, float]:
    notes = {"started": begun}
    if notes_of(marks).exists():
        lines = notes_of(marks).read_text("ascii").splitlines()
        notes |= {what: float(moment) for what, moment in map(str.split, lines)}
    return notes


def _figures(notes: dict[str, float], found: list[tuple[float, int]], watched: Watched) -> Figures:
    marks, combining = [moment for moment, _ in found], found[-1][1]
    before, last = marks[WARM_UP], marks[-1]
    rounds = [end - start for start, end in pairwise(marks[WARM_UP:])]
    handed_in = notes.get("submitted")
    return Figures(
        seconds=statistics.median(rounds),
        processor=(watched.spent_until(last) - watched.spent_until(before)) / len(rounds),
        start=marks[1] - notes["started"],
        submitted=None if handed_in is None else marks[1] - handed_in,
        combining=watched.peaks.get(combining),
        largest=max(watched.peaks.values()),
    )
