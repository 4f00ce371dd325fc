"""How fast the deployed system is back after `kill -9`: `python tests/benchmarks/recovery.py`.

A hub and hospitals as real processes, a training of tiny images for each row, struck in round 2.
Takes about five minutes on two cores; `--write` puts the table into docs/results-recovery.md.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "peers"), str(HERE.parent)]

from command_story import until  # noqa: E402
from deployed_story import World  # noqa: E402
from kinds import COORDINATOR, pids_of  # noqa: E402
from network import on_one_machine  # noqa: E402
from page import machine  # noqa: E402
from processes import nothing_left  # noqa: E402
from rounds_story import hospitals, task_file  # noqa: E402
from stations import Hospital, kill_all  # noqa: E402

from fedcore.errors import ExchangeError  # noqa: E402
from fedcore.exchange import keys  # noqa: E402
from fedcore.rounds import sealed  # noqa: E402
from fedcore.rounds.messages import Record, Reply  # noqa: E402
from flows.hub.processes import Note  # noqa: E402
from flows.hub.seaweed import remove_sockets  # noqa: E402

PAGE = HERE.parents[1] / "docs" / "results-recovery.md"
ROUNDS, STRUCK, LOCAL_EPOCHS = 3, 2, 400
PATIENCE = 240.0
HEAD = """\
# How fast it is back

`python tests/benchmarks/recovery.py --write`: a hub and {parties} hospitals as real processes on
one machine, a training of {rounds} rounds for each row, `kill -9` in round {struck}. Every training
then went on by itself, in the same round and with every hospital. A hospital that was lost as a
whole has its worker started again, as its service unit does.

| killed | until | target, s | seconds |
|---|---|---|---|
"""


@dataclass(frozen=True)
class Row:
    """What was killed, what counted as back, the seconds aimed at, and those it took."""

    killed: str
    until: str
    target: str
    seconds: float

    def __str__(self) -> str:
        return f"| {self.killed} | {self.until} | {self.target} | {self.seconds:.1f} |"


@dataclass(frozen=True)
class Scene:
    """A training that is about to be struck."""

    world: World
    run: str

    @property
    def victim(self) -> Hospital:
        """The hospital that is struck."""
        return list(self.world.hospitals.values())[-1]

    def until_there(self, key: str) -> None:
        """Wait until an object stands."""
        until(lambda: self.there(key), key, PATIENCE, pause=0.05)

    def there(self, key: str) -> bool:
        """Whether an object stands; not while the exchange is away."""
        try:
            return self.world.coordinator.store().exists(key)
        except ExchangeError:
            return False

    def invitation(self) -> str:
        return keys.invitation(self.run, STRUCK)

    def in_training(self) -> None:
        """Let the struck round's training begin."""
        self.until_there(self.invitation())
        begun = time.monotonic()
        until(lambda: time.monotonic() > begun + 0.7, "some batches", 5)

    def one_answered(self) -> None:
        """Let one hospital's reply stand."""
        found = [keys.reply(one, self.run, STRUCK) for one in self.world.hospitals]
        until(lambda: any(map(self.there, found)), "a reply", PATIENCE, pause=0.05)

    def combined(self) -> None:
        """Let the struck round be combined and not yet scored."""
        self.until_there(keys.combined(self.run, STRUCK))


def session(scene: Scene) -> list[Row]:
    scene.in_training()
    before = set(scene.victim.sessions())
    begun = time.monotonic()
    kill_all(before)
    until(lambda: bool(set(scene.victim.sessions()) - before), "a new process", PATIENCE)
    noticed = time.monotonic() - begun
    scene.until_there(keys.term(keys.party_folder(scene.victim.name, scene.run), 2))
    killed = "a session's process, while it trains"
    return [
        Row(killed, "it is started again", "5", noticed),
        Row(killed, "it sits at its desk again", "5 and its start", time.monotonic() - begun),
    ]


def hospital(scene: Scene) -> list[Row]:
    scene.in_training()
    members, word = {*scene.victim.sessions()}, f"host-{scene.victim.name}: silent"
    logs = scene.world.coordinator.home / "logs" / "flows"

    def said() -> int:
        return sum(path.read_text("utf-8", "replace").count(word) for path in logs.glob("*.log"))

    before, begun = said(), time.monotonic()
    scene.victim.kill_program()
    kill_all(members)
    until(lambda: said() > before, word, PATIENCE, pause=0.1)
    seconds = time.monotonic() - begun
    scene.victim.start()
    return [Row("a whole hospital, worker and session", "the coordinator names it", "15", seconds)]


def coordinator(scene: Scene) -> list[Row]:
    scene.one_answered()
    begun = time.monotonic()
    os.kill(pids_of(COORDINATOR)[0], signal.SIGKILL)
    scene.until_there(keys.term(keys.coordinator_folder(scene.run), 2))
    seconds = time.monotonic() - begun
    return [Row("the coordinator's process", "it goes on in the round", "10", seconds)]


def exchange(scene: Scene) -> list[Row]:
    scene.combined()
    begun = time.monotonic()
    for name in ("storage", "exchange"):
        process = Note.read(scene.world.coordinator.home / "run" / f"{name}.json").process
        if process is not None:
            process.tell(signal.SIGKILL)
    scene.until_there(scene.invitation())
    answers = time.monotonic() - begun
    scene.until_there(keys.record(scene.run, STRUCK))
    killed = "SeaweedFS, both processes"
    return [
        Row(killed, "it answers", "10", answers),
        Row(killed, "the round is scored and recorded", "10", time.monotonic() - begun),
    ]


DEEDS: tuple[Callable[[Scene], list[Row]], ...] = (session, hospital, coordinator, exchange)


def play(world: World, deed: Callable[[Scene], list[Row]], turn: int) -> list[Row]:
    """One training with one kill, to its end."""
    scene = Scene(world, f"{deed.__name__}-{turn}")
    task = task_file(epochs=ROUNDS, local_epochs=LOCAL_EPOCHS)
    world.coordinator.begin_training(task, scene.run)
    rows = deed(scene)
    scene.until_there(keys.end(scene.run))
    require_whole(scene)
    return rows


def require_whole(scene: Scene) -> None:
    """Exit unless every round had everybody, with one update each."""
    store = scene.world.coordinator.store()
    for number in range(1, ROUNDS + 1):
        record = sealed.read(store, keys.record(scene.run, number), Record, None)
        states = {party: one.status for party, one in record.parties.items()}
        if set(states.values()) != {"admitted"} or len(states) != len(scene.world.hospitals):
            sys.exit(f"{scene.run}: round {number} was not whole: {states}")
        for party in states:
            reply = sealed.read(store, keys.reply(party, scene.run, number), Reply, None)
            if reply.trained_in != number:
                sys.exit(f"{scene.run}: {party}'s update of round {number} is another round's")


def main() -> None:
    given = _given()
    rows: dict[tuple[str, str], Row] = {}
    with tempfile.TemporaryDirectory(prefix="recovery-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        names = tuple(f"h{number}" for number in range(1, given.parties + 1))
        world = World.at(on_one_machine(*names), folder)
        try:
            with nothing_left():
                _open(world, folder, names)
                for turn in range(1, given.repeats + 1):
                    for deed in (one for one in DEEDS if one.__name__.startswith(given.only)):
                        for row in play(world, deed, turn):
                            print(row, flush=True)
                            known = rows.setdefault((row.killed, row.until), row)
                            if row.seconds > known.seconds:
                                rows[row.killed, row.until] = row
        finally:
            if (world.coordinator.home / "hub.json").exists():
                remove_sockets(world.coordinator.hub())
    if given.write:
        head = HEAD.format(parties=given.parties, rounds=ROUNDS, struck=STRUCK)
        lines = "".join(f"{row}\n" for row in rows.values())
        tail = f"\nThe slowest of {given.repeats} each. {machine()}\n"
        PAGE.write_text(head + lines + tail, "utf-8")


def _open(world: World, folder: Path, names: tuple[str, ...]) -> None:
    world.open(hospitals(folder / "data", names), tls=False)
    for one in world.hospitals.values():
        one.write_policy(decide="accept", leaving={"min_reported": 1})
        one.start()


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--parties", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--only", default="", help="session, hospital, coordinator or exchange")
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    return parser.parse_args()


if __name__ == "__main__":
    main()
