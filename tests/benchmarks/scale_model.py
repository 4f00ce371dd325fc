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
PAUSE = 0.5  # seconds between two looks at the exchange, at most, once something is due
PHASES = 4  # invitation, reply, model and score are each noticed by a look
WAITS = 2  # a party waits for the new model and for the next invitation
HALF = 0.5  # of a resource's cores, what looks take at most from all else
FLOAT64 = 2.0  # a group's sum against an update in float32
POLLS = 1 / 4 + 1 / 5  # a second, of a hospital's worker while its session runs


@dataclass(frozen=True)
class Constants:
    """What one machine takes. All but the counts are CPU seconds.

    The exchange, door and storage: `put` for a MB in, `get` and `view` for a MB out to a party and
    to the coordinator, `question`, `look` and `write` for a small request, for a look into a
    folder, for a small object, `idle` for a second. Its clients: `sent`, `received` and `viewed`
    for a MB, `asked`, `looked` and `wrote`.
    `pack`: a session's work on a MB besides training, sending and receiving; `together`: a party's
    in one process with all others. `add` and `hash`: the coordinator on a MB of an update, on two
    threads; `publish`: the same for a round's new model. `reply`: in one process, a party's and the
    coordinator's work whatever the size. `party` and `coordinator`: the same for a session and for
    the coordinator with Prefect's flow and tasks.
    Prefect's server: `api` for a task run with its request and a log line, `poll` for a worker's
    question, `service` for a second. `tasks_party` and `tasks_round`: task runs of a round.
    Of a round, for a party: `asks_party`, `asks_coordinator`, `writes_party`,
    `writes_coordinator`, of whom asks what of the exchange when nobody waits. `looks` and
    `looks_second`: looks of a wait however short, and more for each second of it.
    """

    put: float
    get: float
    view: float
    question: float
    look: float
    write: float
    idle: float
    sent: float
    received: float
    viewed: float
    asked: float
    looked: float
    wrote: float
    pack: float
    together: float
    add: float
    hash: float
    publish: float
    reply: float
    party: float
    coordinator: float
    api: float
    poll: float
    service: float
    tasks_party: float
    tasks_round: float
    asks_party: float
    asks_coordinator: float
    writes_party: float
    writes_coordinator: float
    looks: float
    looks_second: float


@dataclass(frozen=True)
class Setting:
    """A federation: how many, how large, over which lines, on how many cores.

    `parties` are those invited to the round. `update` is an update's size as a share of the
    model's, after the codec. `bandwidth` is each hospital's line in either direction and `hub` the
    hub's, in Mbit/s. `exchange` and `coordinator` are cores; `servers` is how many of Prefect's
    there are, each of which keeps one core busy. `group` parties are added up together; 0: flat.
    `hospitals` have workers that ask Prefect, invited or not; 0: those that are invited.
    """

    parties: int
    megabytes: float
    bandwidth: float
    hub: float = 10_000.0
    update: float = 1.0
    training: float = 0.0
    exchange: int = 2
    coordinator: int = 2
    servers: int = 1
    group: int = 0
    hospitals: int = 0


@dataclass(frozen=True)
class Prediction:
    """Seconds of a round, of each step, and of each resource by itself; the busiest one."""

    seconds: float
    steps: Mapping[str, float]
    resources: Mapping[str, float]
    first: str


def predicted(setting: Setting, known: Constants) -> Prediction:
    """A round of the deployed system, each hospital and each server on a machine of its own."""
    up = setting.megabytes * setting.update
    transfers = {
        "down": _transfer(setting, known, setting.megabytes, known.get),
        "up": _transfer(setting, known, up, known.put),
    }
    steps = {
        "training": setting.training,
        "packing": setting.megabytes * (known.pack + known.received)
        + up * known.sent
        + known.party,
        "down": max(transfers["down"].values()),
        "up": max(transfers["up"].values()),
        "combining": combining(setting, known),
        "replies": setting.parties * messages(known),
        "noticing": PHASES * max(PAUSE, look(setting, known)),
    }
    resources = {
        name: transfers["down"][name] + transfers["up"][name] for name in transfers["down"]
    }
    resources["exchange"] += setting.parties * small(known) / setting.exchange
    resources |= {
        "coordinator": steps["combining"] + steps["replies"],
        "questions": PHASES * look(setting, known),
        "Prefect": prefect(setting, known),
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
    each = max(known.viewed + known.hash, known.add, known.view)
    one, publish = setting.megabytes * setting.update * each, setting.megabytes * known.publish
    if not setting.group:
        return setting.parties * one + publish
    groups = math.ceil(setting.parties / setting.group)
    size = min(setting.group, setting.parties)
    summed = FLOAT64 * setting.megabytes
    leaf = size * one + summed * known.publish
    turns = math.ceil(groups / setting.coordinator)
    return turns * leaf + groups * summed * each + publish


def group_size(parties: int) -> int:
    """How many parties a group has by default: a leaf then reads as much as the top."""
    return math.ceil(math.sqrt(2 * parties))


def messages(known: Constants) -> float:
    """The coordinator's CPU seconds for a party whatever its size."""
    asks = known.asks_coordinator * known.asked + known.writes_coordinator * known.wrote
    return known.coordinator + asks


def small(known: Constants) -> float:
    """The exchange's CPU seconds for a party's and the coordinator's small requests of a round."""
    asks, writes = known.asks_party + known.asks_coordinator, known.writes_party
    return asks * known.question + (writes + known.writes_coordinator) * known.write


def look(setting: Setting, known: Constants) -> float:
    """Seconds in which the exchange answers one look of all parties, and of who waits for them."""
    return setting.parties * (one_look(known)[0] + known.question) / setting.exchange


def one_look(known: Constants) -> tuple[float, float]:
    """A waiting party's look at the exchange and at itself: every other one is into a folder."""
    return (known.look + known.question) / 2, (known.looked + known.asked) / 2


def task_runs(parties: int, known: Constants) -> float:
    """Task runs of a round in Prefect."""
    return known.tasks_round + known.tasks_party * parties


def polling(setting: Setting, known: Constants) -> float:
    """The share of all its servers' time that Prefect needs for the hospitals' workers."""
    hospitals = setting.hospitals or setting.parties
    return known.service + hospitals * POLLS * known.poll / setting.servers


def prefect(setting: Setting, known: Constants) -> float:
    """Seconds in which Prefect writes a round down, beside what workers ask it by the clock.

    Infinite where the workers alone ask for more than it can answer.
    """
    free = 1 - polling(setting, known)
    runs = task_runs(setting.parties, known) * known.api
    return runs / setting.servers / free if free > 0 else math.inf


def one_process(
    parties: int, megabytes: float, known: Constants, busy: float = 1.0, line: float = math.inf
) -> tuple[float, float]:
    """CPU seconds of a round of `fedcore.simulation` over S3, the exchange's included; and seconds.

    A global model is read once for all parties there, an update is sent once and read once. One
    party after the other: where its line is slower than the work on its bytes, the line counts.
    """
    up, down = megabytes * (known.put + known.sent), megabytes * (known.get + known.received)
    each = megabytes * (
        known.together + known.view + known.viewed + known.hash + known.add
    ) + small(known)
    each += known.reply + (known.asks_party + known.asks_coordinator) * known.asked
    each += (known.writes_party + known.writes_coordinator) * known.wrote
    rest = parties * each + megabytes * (known.publish + known.put)
    slow = megabytes * MBIT / line
    waited = parties * max(up / busy, slow) + max(down / busy, slow)
    return rest + parties * up + down, rest / busy + waited


def one_machine(
    parties: int, megabytes: float, known: Constants, cores: float
) -> tuple[dict[str, float], float]:
    """CPU seconds of a round of the deployed system by kind of process; and its seconds.

    All cores are busy but while something is to be noticed. What is asked by the clock costs the
    more the longer a round takes, and so makes it longer.
    """
    once, second = _once(parties, megabytes, known), _second(parties, known)
    idle = PHASES * PAUSE / 2  # on average half a pause
    seconds = (sum(once.values()) / cores + idle) / (1 - sum(second.values()) / cores)
    return by_kind(parties, megabytes, known, seconds), seconds


def by_kind(parties: int, megabytes: float, known: Constants, seconds: float) -> dict[str, float]:
    """CPU seconds of a deployed round that takes so long, by kind of process."""
    once, second = _once(parties, megabytes, known), _second(parties, known)
    return {kind: once[kind] + second[kind] * seconds for kind in once}


def _once(parties: int, megabytes: float, known: Constants) -> dict[str, float]:
    """By kind, what a round costs whatever it takes."""
    looks = WAITS * known.looks
    exchange = megabytes * (known.put + known.get + known.view) + small(known)
    session = megabytes * (known.pack + known.sent + known.received) + known.party
    session += known.asks_party * known.asked + known.writes_party * known.wrote
    update = megabytes * (known.viewed + known.hash + known.add)
    runs = task_runs(parties, known) * known.api
    return {
        "exchange": parties * (exchange + looks * (one_look(known)[0] + known.question))
        + megabytes * known.put,
        "sessions": parties * (session + looks * one_look(known)[1]),
        "coordinator": parties * (update + messages(known) + looks * known.asked)
        + megabytes * known.publish,
        "Prefect": runs,
    }


def _second(parties: int, known: Constants) -> dict[str, float]:
    """By kind, what is done by the clock: all parties wait, and somebody for each of them."""
    looks = parties * known.looks_second
    return {
        "exchange": known.idle + looks * (one_look(known)[0] + known.question),
        "sessions": looks * one_look(known)[1],
        "coordinator": looks * known.asked,
        "Prefect": known.service + parties * POLLS * known.poll,
    }


def database_rows(parties: int, known: Constants, each: float) -> float:
    """Rows that a round leaves in Prefect's database, with `each` of them for a task run."""
    return task_runs(parties, known) * each


def coordinator_memory(parties: int, megabytes: float, imports: float = 240.0) -> float:
    """MB at the peak: imports, sums in float64, two updates in hand, 5 kB for each party."""
    return imports + 4 * megabytes + parties * 0.005
