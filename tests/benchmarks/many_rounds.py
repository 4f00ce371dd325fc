"""What grows with the number of rounds: `python tests/benchmarks/many_rounds.py [--write]`.

A training of tiny images and a tiny network through the real command, with Prefect's temporary
server and MLflow on SQLite, watched from outside once a second: seconds and CPU seconds of the
first and the last ten rounds, bytes and rows of both databases, of ledgers and exchange, and the
memory of the processes. Nothing of a round may cost more the later it comes. Five minutes or so.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from docs_page import written_between
from overhead import WARM_UP, periods
from typed import options

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from command_story import Site, tree, write_files
from rounds_story import hospitals, task_file

PAGE = Path(__file__).resolve().parents[2] / "docs" / "results-costs.md"
EVERY = 1.0
TEN = 10
TICKS = os.sysconf("SC_CLK_TCK")
DATABASES = ("Prefect", "MLflow")
# A process is told by a word of its command line; the first that fits.
ROLES = {"flows.session_process": "parties", "prefect": "Prefect", "federated_train": "coordinator"}
UNITS = {
    "processor": "CPU seconds of all processes",
    "sizes": "bytes",
    "rows": "rows",
    "memory": "KB of memory of a process",
}
# Tables that get rows in every round; the others get them once for a training.
GROWING = (
    *(f"Prefect {one}" for one in ("task_run", "task_run_state", "events", "event_resources")),
    *("Prefect log", "Prefect artifact", "MLflow metrics"),
)
Numbers = Counter[str]


@dataclass(frozen=True)
class Seen:
    """One look: rounds done, and per thing bytes, rows, KB of memory and CPU seconds."""

    rounds: int
    sizes: Numbers
    rows: Numbers
    memory: Mapping[str, float]
    processor: Mapping[str, float]


def main() -> None:
    parser = options(__doc__, parties=8, rounds=200)
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="many-rounds-") as name:
        site = prepared(Path(name), given.parties, given.rounds)
        before = os.getloadavg()[0]
        looks = list(watched(site))
        if site.wait() != 0:
            sys.exit(site.printed)
        # After the last round the model is registered, which is no part of any round.
        text = table(periods(ledger_of(site)), looks[:-1])
        text += f"\nLoad of the machine: {before:.1f} before, {os.getloadavg()[0]:.1f} after.\n"
    print(text)
    if given.write:
        written_between(PAGE, "many rounds", text)


def prepared(folder: Path, parties: int, rounds: int) -> Site:
    """The command with all parties on this machine, not yet started."""
    names = tuple(str(number) for number in range(1, parties + 1))
    hospitals(folder / "data", names)
    remote = [{"role": "host", "party_id": name} for name in names[1:]]
    party_file = {"local": {"role": "guest", "party_id": names[0]}, "remote": remote}
    arguments = write_files(folder, task_file(epochs=rounds), party_file)
    return Site(folder, [*arguments, "--data", str(folder / "data")])


def watched(site: Site) -> Iterator[Seen]:
    """Start the command; one look a second at each new number of rounds, until it ends."""
    site.start()
    last = 0
    try:
        while site.process is not None and site.process.poll() is None:
            done = rounds_done(site)
            if done > last:
                last = done
                yield look(site, done)
            time.sleep(EVERY)
    finally:
        site.end()


def ledger_of(site: Site) -> Path:
    return next(site.output.glob(".fedcore/runs/*/ledger/coordinator.jsonl"))


def rounds_done(site: Site) -> int:
    try:
        return ledger_of(site).read_bytes().count(b'"kind":"recorded"')
    except (StopIteration, FileNotFoundError):
        return 0


def look(site: Site, done: int) -> Seen:
    databases = (site.folder / "prefect" / "prefect.db", site.folder / "mlflow.db")
    sizes, rows = Counter[str](), Counter[str]()
    for name, path in zip(DATABASES, databases, strict=True):
        found = rows_of(path)
        sizes[name] = found.pop("", 0)
        rows.update({f"{name} {one}": count for one, count in found.items()})
    run = ledger_of(site).parents[1]
    sizes["ledgers"] = size_of(run / "ledger")
    sizes["files"] = size_of(site.output) - sizes["ledgers"]
    memory, processor = processes(site)
    return Seen(done, sizes, rows, memory, processor)


def rows_of(database: Path) -> Numbers:
    """Rows by table, and under no name the bytes of all pages in use; nothing before it is made."""
    if not database.exists():
        return Counter()
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10) as connection:
        query = "select name from sqlite_master where type = 'table'"
        names = [name for (name,) in connection.execute(query)]
        rows = {one: _number(connection, f'select count(*) from "{one}"') for one in names}
        pages = [_number(connection, f"pragma {one}") for one in ("page_count", "freelist_count")]
        return Counter(
            {**rows, "": (pages[0] - pages[1]) * _number(connection, "pragma page_size")}
        )


def _number(connection: sqlite3.Connection, query: str) -> int:
    (number,) = connection.execute(query).fetchone()
    return int(number)


def size_of(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def processes(site: Site) -> tuple[dict[str, float], dict[str, float]]:
    """By role, the mean resident memory of a process in KB, and the CPU seconds of all."""
    memory: dict[str, list[float]] = {}
    processor = Counter[str]()
    for pid in tree(site.process.pid if site.process else 0):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace")
            status = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
            fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        role = next((name for word, name in ROLES.items() if word in command), None)
        if role is None:  # just begun, or just ended
            continue
        resident = [int(line.split()[1]) for line in status if line.startswith("VmRSS")]
        memory.setdefault(role, []).extend(resident)
        processor[role] += (int(fields[11]) + int(fields[12])) / TICKS
    means = {role: statistics.mean(found) for role, found in memory.items() if found}
    return means, dict(processor)


def table(seconds: list[float], looks: list[Seen]) -> str:
    """Early against late: ten rounds each of time, and each half's growth per round of the rest."""
    begun = next(one for one in looks if one.rounds > WARM_UP + TEN)
    middle = min(looks, key=lambda one: abs(one.rounds - (begun.rounds + looks[-1].rounds) / 2))
    spans = ((begun, middle), (middle, looks[-1]))
    first, last = (statistics.median(part) for part in (seconds[:TEN], seconds[-TEN:]))
    lines = [("seconds, median of ten rounds", f"{first:.2f}", f"{last:.2f}")]
    shapes = {"processor": "{:.3f}", "sizes": "{:,.0f}", "rows": "{:.2f}", "memory": "{:.0f}"}
    for field, shape in shapes.items():
        names = [name for name in getattr(looks[-1], field) if field != "rows" or name in GROWING]
        lines += [_line(f"{UNITS[field]}, {name}", spans, field, name, shape) for name in names]
    head = "| per round | early | late |\n|---|---|---|\n"
    text = head + "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"{text}\nThe last ten rounds took {last / first:.2f} of the first ten's seconds.\n"


def _line(
    words: str,
    spans: tuple[tuple[Seen, Seen], ...],
    field: str,
    name: str,
    shape: str,
) -> tuple[str, str, str]:
    grown = (
        (getattr(end, field).get(name, 0) - getattr(start, field).get(name, 0))
        / max(1, end.rounds - start.rounds)
        for start, end in spans
    )
    early, late = map(shape.format, grown)
    return words, early, late


if __name__ == "__main__":
    main()
