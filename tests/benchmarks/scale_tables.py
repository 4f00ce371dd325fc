"""The tables of docs/scale.md, from figures: constants, checks against runs, predictions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from scale_exchange import MODEL
from scale_measured import MANY, OTHERS, PARTIES, SLOW, SLOW_PARTIES, Raw
from scale_model import (
    POLLS,
    Constants,
    Setting,
    by_kind,
    group_size,
    one_machine,
    one_process,
    predicted,
)

CORES = 2
SIZES = ((5, 100), (45, 20), (45, 100), (45, 1000), (350, 100))  # MB, Mbit/s
COUNTS = (2, 8, 64, 500, 1000, 10_000)
HUB = Setting(0, 0, 100, exchange=8, coordinator=8)
SERVERS = 32
MS = 1000.0
CHECK = """\
| parties, model | CPU s predicted | measured | error | s predicted | measured | error |
|---|---|---|---|---|---|---|
"""


def constants_table(raw: Raw, known: Constants) -> str:
    """What was measured, in thousandths of a CPU second."""
    lines = [
        ("exchange, a MB in (in parts, as parties send)", known.put),
        ("exchange, a MB out to a party", known.get),
        ("exchange, a MB out to the coordinator", known.view),
        ("exchange, a small request", known.question),
        ("exchange, a look into a folder", known.look),
        ("exchange, a small object written", known.write),
        ("exchange, a second without any request", known.idle),
        ("client, a MB sent", known.sent),
        ("client, a MB received into a file and hashed", known.received),
        ("client, a MB received into memory", known.viewed),
        ("client, a small request", known.asked),
        ("client, a look into a folder", known.looked),
        ("client, a small object written", known.wrote),
        ("session, a MB: opened, difference, encoding, hashing, disk", known.pack),
        ("party in one process, the same", known.together),
        ("coordinator, hashing a MB of an update", known.hash),
        ("coordinator, checking and adding a MB of an update", known.add),
        ("a round's new model, a MB: opened, encoded, hashed, published", known.publish),
        ("one process, messages and ledgers of both sides, a party", known.reply),
        ("session, flow, tasks and messages of a round", known.party),
        ("coordinator, flow, tasks and messages, a party", known.coordinator),
        ("Prefect's server, a task run with its request and log line", known.api),
        ("Prefect's server, a worker's question", known.poll),
        ("Prefect's server, a second without any", known.service),
    ]
    text = "| what | ms of a core |\n|---|---|\n"
    text += "".join(f"| {name} | {number * MS:.2f} |\n" for name, number in lines)
    return (
        f"{text}\nTask runs of a round: {known.tasks_party:.0f} for each party and "
        f"{known.tasks_round:.0f}. Requests to the exchange for each party and round, when nobody "
        f"waits: {known.asks_party:.0f} and {known.writes_party:.0f} small objects by the party, "
        f"{known.asks_coordinator:.0f} by the coordinator. Looks of a wait: "
        f"{known.looks:.0f}, and {known.looks_second:.2f} a second. The hub's Prefect with SQLite "
        f"wrote {raw['prefect']['rates']['task_runs']:.0f} task runs per second. {_load(raw)}\n"
    )


def _load(raw: Raw) -> str:
    return f"Load of the machine: {raw['load before']:.1f} before, {raw['load after']:.1f} after."


def check_table(raw: Raw, known: Constants) -> str:
    """Predicted against measured; how many cores one process keeps busy is from one row."""
    fitted = raw[f"run {MANY}"]["spent"]
    busy = (fitted["client"] + fitted["server"]) / fitted["seconds"]
    text = CHECK
    for parties in PARTIES:
        said = one_process(parties, MODEL, known, busy)
        text += _compared(f"{parties}, 45 MB", said, _spent(raw[f"run {parties}"]))
    for kind, parties in OTHERS:
        run = raw[f"run {kind}"]
        said = one_process(parties, run["model"], known, busy)
        text += _compared(f"{parties}, {run['model']:.0f} MB", said, _spent(run))
    said = one_process(SLOW_PARTIES, MODEL, known, busy, SLOW)
    name = f"{SLOW_PARTIES}, 45 MB, over lines of {SLOW:.0f} Mbit/s each"
    text += _compared(name, said, _spent(raw["run slow"]))
    for parties, run in deployed_runs(raw):
        _, seconds = one_machine(parties, MODEL, known, CORES)
        kinds = by_kind(parties, MODEL, known, run["seconds"])
        found = (sum(run["kinds"].values()), run["seconds"])
        text += _compared(f"{parties}, 45 MB, deployed", (sum(kinds.values()), seconds), found)
    return f"{text}\nOne process kept {busy:.2f} cores busy at {MANY} parties. {_load(raw)}\n"


def deployed_runs(raw: Raw) -> Iterator[tuple[int, Raw]]:
    """Runs of the deployed system by their number of parties."""
    for name in sorted(one for one in raw if one.startswith("deployed ")):
        yield int(name.split()[1]), raw[name]


def kinds_table(raw: Raw, known: Constants) -> str:
    """A deployed round's CPU seconds by kind of process."""
    text = "| parties | process | CPU s predicted | measured |\n|---|---|---|---|\n"
    for parties, run in deployed_runs(raw):
        kinds = by_kind(parties, MODEL, known, run["seconds"])
        for kind, measured in run["kinds"].items():
            said = f"{kinds[kind]:.2f}" if kind in kinds else ""
            text += f"| {parties} | {kind} | {said} | {measured:.2f} |\n"
    return text


def _spent(run: Raw) -> tuple[float, float]:
    used = run["spent"]
    return used["client"] + used["server"], used["seconds"]


def _compared(name: str, said: tuple[float, float], found: tuple[float, float]) -> str:
    pairs = zip(said, found, strict=True)
    cells = [f"{one:.2f} | {was:.2f} | {one / was - 1:+.0%}" for one, was in pairs]
    return f"| {name} | {' | '.join(cells)} |\n"


def prediction_table(known: Constants) -> str:
    """Seconds of a round without training, and what would be busy longest."""
    names = " | ".join(f"{size} MB, {line} Mbit/s" for size, line in SIZES)
    text = f"| parties | {names} |\n|---|{'---|' * len(SIZES)}\n"
    for parties in COUNTS:
        settings = [
            replace(HUB, parties=parties, megabytes=size, bandwidth=line) for size, line in SIZES
        ]
        text += f"| {parties:,} | {' | '.join(said(one, known) for one in settings)} |\n"
    most = (1 - known.service) / (known.poll * POLLS)
    return (
        f"{text}\n*never*: the hospitals' workers alone ask more of one Prefect server than it can "
        f"answer, which is so from {most:,.0f} hospitals on.\n"
    )


def remedies_table(known: Constants) -> str:
    """What one change after the other does to the rounds of many parties."""
    text = "| 45 MB, 100 Mbit/s | 1,000 parties | 10,000 parties |\n|---|---|---|\n"
    columns = [
        list(remedies(replace(HUB, parties=parties, megabytes=45.0))) for parties in (1000, 10_000)
    ]
    for (name, one), (_, other) in zip(*columns, strict=True):
        text += f"| {name} | {said(one, known)} | {said(other, known)} |\n"
    return text


def remedies(one: Setting) -> Iterator[tuple[str, Setting]]:
    yield "as above", one
    one = replace(one, servers=SERVERS)
    yield f"{SERVERS} Prefect servers", one
    yield "and `codec: int8` alone", replace(one, update=0.26)
    one = replace(one, group=group_size(one.parties))
    yield "and `combining: tree`", one
    one = replace(one, exchange=64, hub=40_000.0)
    yield "and the exchange a cluster of 64 cores at 40 Gbit/s", one
    one = replace(one, update=0.26)
    yield "and `codec: int8`", one
    few = one.parties // 10
    yield (
        "and `participation: 0.1`",
        replace(one, parties=few, group=group_size(few), hospitals=one.parties),
    )


def said(setting: Setting, known: Constants) -> str:
    found = predicted(setting, known)
    if math.isinf(found.seconds):
        return f"never, {found.first}"
    digits = 1 if found.seconds < 100 else 0
    return f"{found.seconds:,.{digits}f} s, {found.first}"
