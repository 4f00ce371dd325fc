"""The figures that the model of a round's time is made of and held against: measured, and read.

Each step's figures go into a file as soon as they are there, so that a page can be written again
without measuring again.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import scale_exchange
import scale_hub
import scale_prefect
import scale_rounds
from scale_exchange import MODEL
from scale_model import Constants

from fedcore.rounds.waiting import Watch

PARTIES = (2, 4, 8, 16, 32, 64)
FEW, MANY = 2, 8
# Rows of other models, by name, and one over lines of so many Mbit/s.
OTHERS = (("small", 8), ("large", 4))
SLOW, SLOW_PARTIES = 100.0, 4
TINY = 0.1  # MB
SHORT, LONG = 1.0, 30.0  # seconds of waits, between which looks are counted
Raw = dict[str, Any]
Once = Callable[[str, Callable[[], Any]], None]


def measured(place: Path) -> Raw:
    """What `place` holds, and all that it does not hold yet, measured now."""
    raw = json.loads(place.read_text("utf-8")) if place.exists() else {}

    def once(name: str, act: Callable[[], Any]) -> None:
        if name not in raw:
            begun = time.monotonic()
            saved(place, raw, name, _plain(act()))
            print(f"{name}: {time.monotonic() - begun:.0f} s", file=sys.stderr)

    once("load before", lambda: os.getloadavg()[0])
    once("work", lambda: scale_rounds.work(20))
    for kind in ("tiny", "resnet18"):
        for parties in (FEW, MANY):
            once(f"memory {kind} {parties}", lambda p=parties, k=kind: scale_rounds.rounds(p, 5, k))
    with scale_hub.exchange() as exchange:
        once("transfers", lambda: scale_exchange.transfers(exchange))
        _over_s3(exchange, once)
    once("prefect", _prefect)
    once("load after", lambda: os.getloadavg()[0])
    return raw


def saved(place: Path, raw: Raw, name: str, found: object) -> None:
    """Add figures to those that are there, in the file as well."""
    raw[name] = found
    place.write_text(json.dumps(raw), "utf-8")


def _over_s3(exchange: scale_hub.Exchange, once: Once) -> None:
    rounds = scale_rounds.rounds
    for kind in ("tiny", "resnet18"):
        once(f"alone {kind}", lambda k=kind: rounds(1, 5, k, exchange, alone=True))
    once(f"tiny {MANY}", lambda: rounds(MANY, 3, "tiny", exchange))
    for parties in PARTIES:
        count = 2 if parties > MANY else 3
        once(f"run {parties}", lambda p=parties, c=count: rounds(p, c, "resnet18", exchange))
    for kind, parties in OTHERS:
        once(f"run {kind}", lambda p=parties, k=kind: rounds(p, 2, k, exchange))
    once("run slow", lambda: rounds(SLOW_PARTIES, 2, "resnet18", exchange, line=SLOW))


def _prefect() -> Raw:
    few, many, rates = scale_prefect.measured(2, 6, 24, 600)
    return {"few": asdict(few), "many": asdict(many), "rates": asdict(rates)}


def _plain(found: Any) -> Any:
    """With CPU seconds as plain numbers."""
    if not isinstance(found, dict):
        return found
    return {name: asdict(one) if hasattr(one, "client") else one for name, one in found.items()}


def constants(raw: Raw) -> Constants:
    """The model's constants; slopes are between few and many parties, or between two models."""
    server = {name: one["server"] for name, one in raw["transfers"].items()}
    client = {name: one["client"] for name, one in raw["transfers"].items()}
    small, base = line(*(_client(raw[f"memory tiny {one}"]) for one in (FEW, MANY)))
    slope, rest = line(*(_client(raw[f"memory resnet18 {one}"]) for one in (FEW, MANY)))
    hashed, add = raw["work"]["hash"], raw["work"]["add"]
    own = [raw[f"alone {kind}"]["by parties"] for kind in ("tiny", "resnet18")]
    asked = {name: count / MANY for name, count in raw[f"tiny {MANY}"]["asked"].items()}
    looks = (looks_of(SHORT), looks_of(LONG))
    looks_second, looks_first = line(*looks, few=SHORT, many=LONG)
    return Constants(
        **{name: server[name] for name in ("put", "get", "view", "question", "look", "write")},
        idle=server["idle"],
        sent=client["put"],
        received=client["get"],
        viewed=client["view"],
        asked=client["question"],
        looked=client["look"],
        wrote=client["write"],
        pack=max(0.0, (own[1] - own[0]) / (MODEL - TINY) - client["put"] - client["get"]),
        together=(slope - small) / MODEL - hashed - add,
        add=add,
        hash=hashed,
        publish=max(0.0, rest - base) / MODEL,
        reply=small,
        asks_party=asked["party asks"],
        asks_coordinator=asked["coordinator asks"],
        writes_party=asked["party writes"],
        writes_coordinator=asked["coordinator writes"],
        looks=looks_first,
        looks_second=looks_second,
        **_of_prefect(raw["prefect"]),
    )


def _of_prefect(raw: Raw) -> dict[str, float]:
    few, many, rates = raw["few"], raw["many"], raw["rates"]
    between = {"few": 2, "many": 6}
    tasks_party, tasks_round = line(few["task_runs"], many["task_runs"], **between)
    return {
        "party": line(few["parties"], many["parties"], **between)[0],
        "coordinator": line(few["coordinator"], many["coordinator"], **between)[0],
        "api": rates["processor"],
        "poll": rates["poll"],
        "service": rates["idle"],
        "tasks_party": tasks_party,
        "tasks_round": tasks_round,
    }


def looks_of(seconds: float) -> int:
    """How often somebody looks who waits so long in every round, once that is known."""
    now, looks = 0.0, 0

    def pause(length: float) -> None:
        nonlocal now
        now += length

    def there() -> bool | None:
        nonlocal looks
        looks += 1
        return True if now >= end else None

    watch = Watch(lambda: now, pause)
    for _ in range(FEW + MANY):
        looks, end = 0, now + seconds
        watch.wait(there, "a reply", kind="reply")
    return looks


def line(
    at_few: float, at_many: float, few: float = FEW, many: float = MANY
) -> tuple[float, float]:
    """Slope and beginning of the straight line through two points."""
    slope = (at_many - at_few) / (many - few)
    return slope, at_few - few * slope


def _client(run: Raw) -> float:
    return float(run["spent"]["client"])
