"""The deployed system on one machine, as its engineers run it, around the neutral work.

A hub (`fedcore up`), hospitals that were invited and joined, each with a home, a worker and its
sessions' processes. In the sessions two functions are replaced (`session/sitecustomize.py`).
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from deployed_story import World  # noqa: E402
from kinds import COORDINATOR, Cost, census, pids_of  # noqa: E402
from network import on_one_machine  # noqa: E402
from neutral import require_rounds  # noqa: E402
from neutral_task import SIDE  # noqa: E402
from rounds_story import write_pictures  # noqa: E402

from fedcore.audit.entry import Entry  # noqa: E402
from fedcore.config.task import TaskFile  # noqa: E402
from fedcore.exchange import codec, keys  # noqa: E402
from fedcore.rounds import sealed  # noqa: E402
from fedcore.rounds.messages import End, Record  # noqa: E402
from flows.hub.seaweed import remove_sockets  # noqa: E402

PATIENTS = 16
LOOK_SECONDS = 0.1
WARM_UP = 2


@dataclass(frozen=True)
class Story:
    """One training: moments by the monotonic clock, and the costs of its steady rounds.

    `up` is when the last session had loaded its code, `invited` when the first round began, `ends`
    when each round was recorded; `coordinator` is the process that combined; `before` and `after`
    are taken at the end of the warm-up and of the last round.
    """

    coordinator: int
    up: float
    invited: float
    ends: list[float]
    before: dict[str, Cost]
    after: dict[str, Cost]


class Deployed:
    """A running hub with hospitals whose workers run."""

    def __init__(self, folder: Path, parties: int) -> None:
        """Nothing runs yet."""
        names = [f"h{number:02d}" for number in range(1, parties + 1)]
        self.world = World.at(on_one_machine(*names), folder)
        self._data = {
            name: write_pictures(folder / "data" / name, PATIENTS, seed, SIDE)
            for seed, name in enumerate(names)
        }

    def start(self) -> None:
        """Everything up: the services answer, the hospitals have joined, their workers run."""
        self.world.open(self._data, tls=False)
        for hospital in self.world.hospitals.values():
            hospital.write_policy(decide="accept", leaving={"min_reported": 1})
            with (hospital.home / "secrets.env").open("a") as file:
                file.write(f"PYTHONPATH={HERE / 'session'}\n")
            hospital.start()

    def tidy(self) -> None:
        """Take away what lies outside the folder, once all processes have ended."""
        if (self.world.coordinator.home / "hub.json").exists():
            remove_sockets(self.world.coordinator.hub())

    def train(self, run: str, task: TaskFile, limit: float) -> Story:
        """One training to the record of its last round; exits unless every round was whole."""
        for hospital in self.world.hospitals.values():
            (hospital.home / "up").unlink(missing_ok=True)
        self.world.coordinator.begin_training(task, run)
        rounds, end = task.federation.epochs, time.monotonic() + limit
        before = dict[str, Cost]()
        while len(times := self._recorded(run)) < rounds:
            if not before and len(times) >= WARM_UP:
                before = census()
            self._require_going(run, end)
            time.sleep(LOOK_SECONDS)
        after, combining = census(), pids_of(COORDINATOR)[0]
        self._require_whole(run, rounds, end)
        return Story(combining, self._up(), self._at(run, "invited")[0], times, before, after)

    def _require_going(self, run: str, end: float) -> None:
        dead = [one.name for one in self.world.hospitals.values() if one.program.poll() is not None]
        if dead or time.monotonic() > end:
            why = f"the workers of {dead} have ended" if dead else "it takes too long"
            sys.exit(f"training {run}: {why}\n{self.logs()}")

    def _require_whole(self, run: str, rounds: int, end: float) -> None:
        """Every round with every party, and each has changed the model."""
        store = self.world.coordinator.store()
        while not store.exists(keys.end(run)):
            self._require_going(run, end)
            time.sleep(LOOK_SECONDS)
        for number in range(1, rounds + 1):
            record = sealed.read(store, keys.record(run, number), Record, None)
            states = {party: said.status for party, said in record.parties.items()}
            if set(states) != set(self.world.hospitals) or set(states.values()) != {"admitted"}:
                sys.exit(f"training {run}: round {number} was not whole: {states}")
        last = sealed.read(store, keys.end(run), End, None)
        require_rounds(codec.decode(sealed.fetch(store, last.final)), rounds)

    def _recorded(self, run: str) -> list[float]:
        return self._at(run, "recorded")

    def _at(self, run: str, kind: str) -> list[float]:
        """When the coordinator's ledger noted entries of that kind, by the monotonic clock."""
        path = self.world.coordinator.ledger(run)
        if not path.exists():
            return []
        offset = time.monotonic() - time.time()
        whole = path.read_bytes().rpartition(b"\n")[0]
        entries = [Entry.read(line) for line in whole.splitlines()]
        found = [one.at for one in entries if one.kind == kind]
        return [datetime.fromisoformat(at).timestamp() + offset for at in found]

    def _up(self) -> float:
        """When the last session had loaded its code."""
        marks = [hospital.home / "up" for hospital in self.world.hospitals.values()]
        return max(float(path.read_text().split()[0]) for path in marks)

    def logs(self) -> str:
        """The ends of what all processes printed."""
        folder = self.world.coordinator.folder.parent
        paths = sorted([*folder.rglob("*.log")])
        return "\n".join(
            f"== {path}\n{path.read_text('utf-8', 'replace')[-1500:]}" for path in paths
        )
