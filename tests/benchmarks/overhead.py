"""What Prefect and MLflow cost per round: `python tests/benchmarks/overhead.py [--parties 2]`.

The same training of tiny images and a tiny network, so that nearly all of a round is overhead:
once in one process (`fedcore.simulation`, objects in a folder), once through the real command
with Prefect's temporary server and MLflow on SQLite. A round's time is the distance between two
`recorded` entries of the coordinator's ledger, on average, because MLflow hears of several rounds
at once; MLflow's part is the time of all `track` tasks but the first, which opens the runs.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import sys
import tempfile
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from typed import options

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from command_story import Site, write_files
from rounds_story import hospitals, task_file

from fedcore.audit.entry import Entry
from fedcore.exchange.folder import FolderStore
from fedcore.simulation import World, simulate

WARM_UP = 2


def periods(ledger: Path) -> list[float]:
    """Seconds between the records of consecutive rounds, the first ones left out."""
    pairs = pairwise(ends_of(ledger))
    return [(later - sooner).total_seconds() for sooner, later in pairs][WARM_UP:]


def ends_of(ledger: Path) -> list[datetime]:
    """When each round was recorded."""
    entries = [Entry.read(line) for line in ledger.read_bytes().splitlines()]
    return [datetime.fromisoformat(one.at) for one in entries if one.kind == "recorded"]


def simulated(folder: Path, names: tuple[str, ...], rounds: int) -> list[float]:
    """Rounds in one process, objects in a folder."""
    store = FolderStore(folder / "exchange")
    store.prepare()
    world = World(folder, store)
    outcome = simulate(task_file(epochs=rounds), hospitals(folder / "data", names), world)
    return periods(outcome.ledgers["coordinator"].path)


def scheduled(folder: Path, names: tuple[str, ...], rounds: int) -> tuple[list[float], list[float]]:
    """Rounds through the command, and the seconds of the `track` tasks after the first."""
    hospitals(folder / "data", names)
    remote = [{"role": "host", "party_id": name} for name in names[1:]]
    party_file = {"local": {"role": "guest", "party_id": names[0]}, "remote": remote}
    arguments = write_files(folder, task_file(epochs=rounds), party_file)
    site = Site(folder, [*arguments, "--data", str(folder / "data")])
    if site.run() != 0:
        sys.exit(site.printed)
    ledger = next(site.output.glob(".fedcore/runs/*/ledger/coordinator.jsonl"))
    return periods(ledger), _track_seconds(folder / "prefect" / "prefect.db")


def _track_seconds(database: Path) -> list[float]:
    query = "select start_time, end_time from task_run where name like '%track' order by start_time"
    with sqlite3.connect(database) as connection:
        rows = [(row[0], row[1]) for row in connection.execute(query)]
    times = [(datetime.fromisoformat(one), datetime.fromisoformat(two)) for one, two in rows]
    return [(end - start).total_seconds() for start, end in times][1:]


def main() -> None:
    """Run both, print means as JSON."""
    given = options(__doc__, parties=2, rounds=14).parse_args()
    found = figures(given.parties, given.rounds)
    print(json.dumps({key: round(value, 3) for key, value in found.items()}, indent=1))


def figures(parties: int, count: int) -> dict[str, float]:
    """Means over the rounds but the first ones."""
    names = tuple(str(number) for number in range(1, parties + 1))
    with tempfile.TemporaryDirectory(prefix="overhead-") as name:
        plain = statistics.mean(simulated(Path(name) / "simulated", names, count))
        rounds, track = scheduled(Path(name) / "scheduled", names, count)
    whole, mlflow = statistics.mean(rounds), sum(track) / len(rounds)
    return {
        "parties": parties,
        "simulated round, s": plain,
        "scheduled round, s": whole,
        "MLflow per round, s": mlflow,
        "Prefect and processes per round, s": whole - mlflow - plain,
        "overhead per round and party, s": (whole - plain) / parties,
    }


if __name__ == "__main__":
    main()
