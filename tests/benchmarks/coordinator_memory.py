"""What a deployed coordinator needs: `python tests/benchmarks/coordinator_memory.py [--write]`.

Whole trainings through a hub's worker with a real Prefect server, a real SeaweedFS and MLflow. The
parties are played by this process (light_parties.py): they have no torch and send ready updates of
resnet18, 45 MB each in float32. What is measured is the process that invites, waits, combines and
records: the most memory that it ever had, from the kernel. About five minutes on two quiet cores
and 6 GB of disk.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "peers"), str(HERE.parent), str(HERE.parents[1])]

from docs_page import written_between  # noqa: E402
from kinds import COORDINATOR, KB, kind_of  # noqa: E402
from light_hub import LightHub  # noqa: E402
from light_parties import LightParties  # noqa: E402
from neutral_task import task_file  # noqa: E402
from processes import nothing_left, seconds, tree  # noqa: E402
from rounds_story import RUN  # noqa: E402
from typed import options  # noqa: E402

from flows.worker.coordinator import MEMORY  # noqa: E402

PAGE = HERE.parents[1] / "docs" / "results-costs.md"
PARTIES = (2, 8, 16, 64)
LOOK_SECONDS = 0.1
LIMIT = 900.0  # seconds for a training
FLOOR = """
import flows.worker.coordinator_process, flows.deployed_training
print(next(one for one in open("/proc/self/status") if one.startswith("VmRSS")).split()[1])
"""
HEAD = """\
| parties | most memory, MB | threads at most | CPU seconds a round | of it a party |
|---|---|---|---|---|
"""


class Seen:
    """The coordinator's process as it was last seen: memory in MB, threads, CPU seconds."""

    def __init__(self, worker: int, recorded: Callable[[], int]) -> None:
        """`worker` is the process that starts it; `recorded` is how many rounds are done."""
        self._worker, self._recorded = worker, recorded
        self.pid, self.peak, self.threads = 0, 0.0, 0
        self.ended = False
        self.at_rounds: list[float] = []

    def look(self) -> None:
        """Once more; what has ended keeps its last figures."""
        below = tree(self._worker)
        with suppress(FileNotFoundError, ProcessLookupError):
            found = [pid for pid in below if kind_of(pid) == COORDINATOR]
            self.ended = self.pid != 0 and self.pid not in found
            if found and not self.ended:
                self.pid = found[0]
                self._note(seconds(below[self.pid]))

    def _note(self, spent: float) -> None:
        lines = Path(f"/proc/{self.pid}/status").read_text("ascii").splitlines()
        said = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
        self.peak = max(self.peak, int(said["VmHWM"][0]) * KB)
        self.threads = max(self.threads, int(said["Threads"][0]))
        if self._recorded() > len(self.at_rounds):
            self.at_rounds.append(spent)


def main() -> None:
    parser = options(__doc__, rounds=2, only=0)
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    args = parser.parse_args()
    counts = (args.only,) if args.only else PARTIES
    with nothing_left():
        told = {count: training(count, args.rounds) for count in counts}
    text = HEAD + "".join(row(count, seen) for count, seen in told.items()) + ending(told)
    print(text)
    if args.write:
        written_between(PAGE, "coordinator memory", text)


def row(count: int, seen: Seen) -> str:
    each = statistics.median(after - before for before, after in pairwise(seen.at_rounds))
    return f"| {count} | {seen.peak:.0f} | {seen.threads} | {each:.2f} | {each / count:.3f} |\n"


def ending(told: Mapping[int, Seen]) -> str:
    text = f"\nOf the memory {floor():.0f} MB are imports."
    if len(told) > 1:
        few, many = min(told), max(told)
        slope = (told[many].peak - told[few].peak) / (many - few)
        text += f" From {few} to {many} parties it grows by {slope:.2f} MB per party."
    return f"{text}\n"


def floor() -> float:
    """MB of a process that has loaded what a deployed coordinator loads, and did nothing."""
    done = subprocess.run(
        [sys.executable, "-c", FLOOR],
        env={**os.environ, **MEMORY},
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout) * KB


def training(count: int, rounds: int) -> Seen:
    """One training of so many parties, from the first start to the registered model."""
    names = [f"h{number:03d}" for number in range(count)]
    task = task_file(rounds)
    with tempfile.TemporaryDirectory(prefix="memory-", ignore_cleanup_errors=True) as name:
        hub = LightHub(Path(name))
        with hub.running(), hub.worker() as worker, ThreadPoolExecutor(1) as beside:
            hub.join(names)
            seen = Seen(worker.pid, partial(recorded, hub.ledger(RUN)))
            hub.submit(task, RUN)
            parties = LightParties(Path(name), hub.store(), names, task)
            playing = beside.submit(parties.play, rounds)
            follow(seen)
            parties.give_up()
            if len(seen.at_rounds) != rounds:
                sys.exit(f"{count} parties: {playing.exception()}\n{hub.logs()}")
            playing.result()
        return seen


def follow(seen: Seen) -> None:
    """Look at the coordinator until it ends, or for too long."""
    end = time.monotonic() + LIMIT
    while not seen.ended and time.monotonic() < end:
        seen.look()
        time.sleep(LOOK_SECONDS)


def recorded(ledger: Path) -> int:
    """How many rounds the coordinator's ledger says are done."""
    return ledger.read_bytes().count(b'"kind":"recorded"') if ledger.exists() else 0


if __name__ == "__main__":
    main()
