"""How a round's time grows: `python tests/benchmarks/scale.py [--write] [--keep FILE]`.

Measures the constants of the model in scale_model.py, runs rounds of 2 to 64 parties over a real
SeaweedFS, and fills the tables of docs/scale.md: constants, prediction against measurement, and
predictions to 10,000 parties. Six minutes or so on two quiet cores. `--keep` holds the figures in a
file and measures only what is not in it; `--deployed 8` adds a run of the deployed system, which
takes two minutes and 8 GB more.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from docs_page import written_between
from scale_exchange import MODEL
from scale_measured import MANY, PARTIES, Raw, constants, measured, saved
from scale_model import Constants, Setting, group_size, one_machine, one_process, predicted
from typed import options

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "scale.md"
CORES = 2
SIZES = ((5, 100), (45, 20), (45, 100), (45, 1000), (350, 100))  # MB, Mbit/s
COUNTS = (2, 8, 64, 500, 1000, 10_000)
MS = 1000.0


def main() -> None:
    parser = options(__doc__, deployed=0)
    parser.add_argument("--write", action="store_true", help="put the tables into the page")
    parser.add_argument("--keep", type=Path, help="a file for the figures")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        place = given.keep or Path(folder) / "figures.json"
        raw = measured(place)
        if given.deployed:
            saved(place, raw, f"deployed {given.deployed}", deployed(given.deployed))
    known = constants(raw)
    hub = Setting(0, 0, 100, exchange=8, coordinator=8, api=raw["prefect"]["rates"]["task_runs"])
    texts = {
        "constants": constants_table(raw, known),
        "check": check_table(raw, known),
        "prediction": prediction_table(hub, known),
        "remedies": remedies_table(hub, known),
    }
    for name, text in texts.items():
        print(text)
        if given.write:
            written_between(PAGE, name, text)


def constants_table(raw: Raw, known: Constants) -> str:
    """What was measured, in thousandths of a CPU second."""
    rates = raw["prefect"]["rates"]
    lines = [
        ("exchange's server, a MB in (in parts, as parties send)", known.put * MS),
        ("exchange's server, a MB out", known.get * MS),
        ("exchange's server, a small request", known.question * MS),
        ("client, a MB sent", known.sent * MS),
        ("client, a MB received", known.received * MS),
        ("client, a small request", known.asked * MS),
        ("party, packing a MB: difference, encoding, hashing, disk", known.pack * MS),
        ("coordinator, receiving and hashing a MB of an update", known.fetch * MS),
        ("coordinator, checking and adding a MB of an update", known.add * MS),
        ("a round's new model, a MB: opened, encoded, hashed, published", known.publish * MS),
        ("messages and ledgers of both sides, a party", known.reply * MS),
        ("session's flow and tasks, a party", known.party * MS),
        ("coordinator's flow and tasks, a party", known.coordinator * MS),
        ("Prefect's server, a task run written down", known.api * MS),
    ]
    text = "| what | ms of a core |\n|---|---|\n"
    text += "".join(f"| {name} | {number:.2f} |\n" for name, number in lines)
    return (
        f"{text}\nTask runs of a round: {known.tasks_party:.0f} for each party and "
        f"{known.tasks_round:.0f}. Requests to the exchange for each party and round, when nobody "
        f"waits: {known.requests:.0f}. One Prefect server with SQLite wrote "
        f"{rates['task_runs']:.0f} task runs per second and answered "
        f"{rates['requests']:.0f} plain requests per second. {_load(raw)}\n"
    )


def _load(raw: Raw) -> str:
    return f"Load of the machine: {raw['load before']:.1f} before, {raw['load after']:.1f} after."


def check_table(raw: Raw, known: Constants) -> str:
    """Predicted against measured; how many cores one process keeps busy is from one row."""
    text = (
        "| parties | CPU s predicted | measured | error | s predicted | measured | error |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    fitted = raw[f"run {MANY}"]["spent"]
    busy = (fitted["client"] + fitted["server"]) / fitted["seconds"]
    for parties in PARTIES:
        used = raw[f"run {parties}"]["spent"]
        found = (used["client"] + used["server"], used["seconds"])
        text += _compared(f"{parties}", one_process(parties, MODEL, known), found, busy)
    for name in (name for name in raw if name.startswith("deployed ")):
        parties, run = int(name.split()[1]), raw[name]
        found = (run["processor"], run["seconds"])
        text += _compared(f"{parties}, deployed", one_machine(parties, MODEL, known), found, CORES)
    return f"{text}\nOne process kept {busy:.2f} cores busy at {MANY} parties. {_load(raw)}\n"


def _compared(name: str, work: float, found: tuple[float, float], cores: float) -> str:
    pairs = zip((work, work / cores), found, strict=True)
    cells = [f"{said:.2f} | {was:.2f} | {said / was - 1:+.0%}" for said, was in pairs]
    return f"| {name} | {' | '.join(cells)} |\n"


def prediction_table(hub: Setting, known: Constants) -> str:
    """Seconds of a round without training, and what would be busy longest."""
    names = " | ".join(f"{size} MB, {line} Mbit/s" for size, line in SIZES)
    text = f"| parties | {names} |\n|---|{'---|' * len(SIZES)}\n"
    for parties in COUNTS:
        settings = [
            replace(hub, parties=parties, megabytes=size, bandwidth=line) for size, line in SIZES
        ]
        text += f"| {parties:,} | {' | '.join(said(one, known) for one in settings)} |\n"
    return text


def remedies_table(hub: Setting, known: Constants) -> str:
    """What one change after the other does to the rounds of many parties."""
    text = "| 45 MB, 100 Mbit/s | 1,000 parties | 10,000 parties |\n|---|---|---|\n"
    columns = [
        list(remedies(replace(hub, parties=parties, megabytes=45.0))) for parties in (1000, 10_000)
    ]
    for (name, one), (_, other) in zip(*columns, strict=True):
        text += f"| {name} | {said(one, known)} | {said(other, known)} |\n"
    return text


def remedies(one: Setting) -> Iterator[tuple[str, Setting]]:
    yield "as above", one
    yield "`codec: int8` alone", replace(one, update=0.26)
    one = replace(one, group=group_size(one.parties))
    yield "`combining: tree`", one
    one = replace(one, exchange=64, hub=40_000.0)
    yield "and the exchange a cluster of 64 cores at 40 Gbit/s", one
    one = replace(one, api=8 * one.api)
    yield "and eight times the task runs per second in Prefect", one
    one = replace(one, update=0.26)
    yield "and `codec: int8`", one
    few = replace(one, parties=one.parties // 10, group=group_size(one.parties // 10))
    yield "and `participation: 0.1`", few


def said(setting: Setting, known: Constants) -> str:
    found = predicted(setting, known)
    digits = 1 if found.seconds < 100 else 0
    return f"{found.seconds:,.{digits}f} s, {found.first}"


def deployed(parties: int) -> dict[str, float]:
    """A round of the deployed system on this machine; the program is the peers' comparison's."""
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        words = [sys.executable, str(HERE / "peers" / "ours_deployed.py"), str(parties), "6"]
        words += ["float32", str(Path(folder) / "marks")]
        printed = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout
    seconds = re.search(r"^rounds: ([\d. ]+) s", printed, re.MULTILINE)
    used = re.findall(r": ([\d.]+) CPU s per round", printed)
    if seconds is None:
        sys.exit(printed)
    each = statistics.median(float(one) for one in seconds[1].split())
    return {"seconds": each, "processor": sum(map(float, used))}


if __name__ == "__main__":
    main()
