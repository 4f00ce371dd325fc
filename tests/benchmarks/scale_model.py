"""How long a round takes, by plain arithmetic: what follows each other is added up.

What goes on side by side counts by its longest part. Seconds, CPU seconds of one core, megabytes
of 10^6 bytes and Mbit/s throughout. docs/scale.md has it in words; `scale.py` measures the
constants and holds the result against runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

MBIT = 8.0  # Mbit of a megabyte
PAUSE = 0.5  # seconds between two looks at the exchange
PHASES = 4  # invitation, reply, model and score are each noticed by a look
HALF = 0.5  # of the exchange's cores, what looks take at most from transfers
FLOAT64 = 2.0  # a group's sum against an update in float32


@dataclass(frozen=True)
class Constants:
    """What one machine takes. All but the counts are CPU seconds.

    `put` and `get`: the exchange's server for a MB in and out; `question`: for a small request.
    `sent` and `received`: the client for a MB; `asked`: for a small request.
    `pack`: a party's work on a MB besides training and sending. `fetch` and `add`: the coordinator
    on a MB of an update, on two threads. `publish`: the same for a round's new model. `reply`: the
    coordinator's work for a party whatever its size. `party`, `coordinator`, `api`: what flow and
    tasks cost a session, the coordinator for each party, and Prefect's server for a task run.
    `tasks_party` and `tasks_round`: task runs of a round. `requests`: questions of a round for a
    party that nothing keeps waiting. `look_party` and `look_coordinator`: those of one look.
    """

    put: float
    get: float
    question: float
    sent: float
    received: float
    asked: float
    pack: float
    fetch: float
    add: float
    publish: float
    reply: float
    party: float
    coordinator: float
    api: float
    tasks_party: float
    tasks_round: float
    requests: float
    look_party: float
    look_coordinator: float


@dataclass(frozen=True)
class Setting:
    """A federation: how many, how large, over which lines, on how many cores.

    `parties` are those invited to the round. `update` is an update's size as a share of the
    model's, after the codec. `bandwidth` is each hospital's line in either direction and `hub` the
    hub's, in Mbit/s. `exchange` and `coordinator` are cores; `api` is how many task runs all of
    Prefect's servers together record in a second. `group` parties are added up together; 0: flat.
    """

    parties: int
    megabytes: float
    bandwidth: float
    hub: float = 10_000.0
    update: float = 1.0
    training: float = 0.0
    exchange: int = 2
    coordinator: int = 2
    api: float = 100.0
    group: int = 0


@dataclass(frozen=True)
class Prediction:
    """Seconds of a round, of each step, and of each resource by itself; the busiest one."""

    seconds: float
    steps: Mapping[str, float]
    resources: Mapping[str, float]
    first: str


def predicted(setting: Setting, known: Constants) -> Prediction:
    """A round of the deployed system, each hospital and each server on a machine of its own."""
    transfers = {
        "down": _transfer(setting, known, setting.megabytes, known.get),
        "up": _transfer(setting, known, setting.megabytes * setting.update, known.put),
    }
    steps = {
        "training": setting.training,
        "packing": known.pack * setting.megabytes + known.party,
        "down": max(transfers["down"].values()),
        "up": max(transfers["up"].values()),
        "combining": combining(setting, known),
        "replies": setting.parties * (known.reply + known.coordinator),
        "noticing": PHASES * max(PAUSE, look(setting, known)),
    }
    resources = {
        name: transfers["down"][name] + transfers["up"][name] for name in transfers["down"]
    }
    resources |= {
        "coordinator": steps["combining"] + steps["replies"],
        "questions": PHASES * look(setting, known),
        "Prefect": task_runs(setting.parties, known) / setting.api,
    }
    seconds = max(sum(steps.values()), resources["Prefect"])
    return Prediction(seconds, steps, resources, max(resources, key=resources.__getitem__))


def _transfer(
    setting: Setting, known: Constants, megabytes: float, work: float
) -> dict[str, float]:
    """Seconds until all parties have sent or received so much, by what each resource allows."""
    free = 1 - min(HALF, look(setting, known) / PAUSE)
    return {
        "hospital's line": megabytes * MBIT / setting.bandwidth,
        "hub's line": setting.parties * megabytes * MBIT / setting.hub,
        "exchange": setting.parties * megabytes * work / setting.exchange / free,
    }


def combining(setting: Setting, known: Constants) -> float:
    """Seconds from the last reply to the new model: flat, or a leaf after another and the top.

    An update costs the longer of the two: fetching with hashing, and adding, which go side by side.
    Groups are added up as many at once as there are cores.
    """
    one = setting.megabytes * setting.update * max(known.fetch, known.add)
    publish = setting.megabytes * known.publish
    if not setting.group:
        return setting.parties * one + publish
    groups = math.ceil(setting.parties / setting.group)
    size = min(setting.group, setting.parties)
    summed = FLOAT64 * setting.megabytes
    leaf = size * one + summed * known.publish
    turns = math.ceil(groups / setting.coordinator)
    return turns * leaf + groups * summed * max(known.fetch, known.add) + publish


def group_size(parties: int) -> int:
    """How many parties a group has by default: a leaf then reads as much as the top."""
    return math.ceil(math.sqrt(2 * parties))


def look(setting: Setting, known: Constants) -> float:
    """Seconds in which the exchange answers one look of all parties, and of who waits for them."""
    questions = known.look_party + known.look_coordinator
    return setting.parties * questions * known.question / setting.exchange


def task_runs(parties: int, known: Constants) -> float:
    """Task runs of a round in Prefect."""
    return known.tasks_round + known.tasks_party * parties


def one_process(parties: int, megabytes: float, known: Constants) -> float:
    """CPU seconds of a round of `fedcore.simulation` over S3, the exchange's server included.

    A global model is read once for all parties there, an update is sent once and read once.
    """
    asked = parties * known.requests * (known.question + known.asked)
    return (
        asked
        + parties
        * (
            megabytes * (known.pack + known.put + known.sent + known.get + known.fetch + known.add)
            + known.reply
        )
        + megabytes * (known.publish + known.put + 2 * (known.get + known.received))
    )


def one_machine(parties: int, megabytes: float, known: Constants) -> float:
    """CPU seconds of a round of the deployed system, all processes together.

    Beside one process: every party reads the model, has a session, and Prefect writes it down.
    """
    more = megabytes * (known.get + known.received) + known.party + known.coordinator
    whole = one_process(parties, megabytes, known) + parties * more
    return whole + task_runs(parties, known) * known.api


def database_rows(parties: int, known: Constants, each: float) -> float:
    """Rows that a round leaves in Prefect's database, with `each` of them for a task run."""
    return task_runs(parties, known) * each


def coordinator_memory(parties: int, megabytes: float, imports: float = 240.0) -> float:
    """MB at the peak: imports, sums in float64, two updates in hand, 5 kB for each party."""
    return imports + 4 * megabytes + parties * 0.005
