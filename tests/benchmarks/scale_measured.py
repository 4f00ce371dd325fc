"""The figures that the model of a round's time is made of and held against: measured, and read.

Each step's figures go into a file as soon as they are there, so that a page can be written again
without measuring again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import scale_exchange
import scale_prefect
from scale_exchange import MODEL
from scale_model import Constants

PARTIES = (2, 4, 8, 16, 32, 64)
FEW, MANY = 2, 8
# Requests of one look of a party, and of the coordinator for a party: counted in a deployed run.
LOOKS = {"look_party": 1.5, "look_coordinator": 1.1}
Raw = dict[str, Any]


def measured(place: Path) -> Raw:
    """What `place` holds, and all that it does not hold yet, measured now."""
    raw = json.loads(place.read_text("utf-8")) if place.exists() else {}

    def once(name: str, act: Callable[[], Any]) -> None:
        if name not in raw:
            saved(place, raw, name, act())

    once("load before", lambda: os.getloadavg()[0])
    once("work", lambda: scale_exchange.work(20))
    for kind in ("tiny", "resnet18"):
        for parties in (FEW, MANY):
            once(f"memory {kind} {parties}", lambda p=parties, k=kind: _memory(p, k))
    _over_s3(once)
    once("prefect", _prefect)
    once("load after", lambda: os.getloadavg()[0])
    return raw


def saved(place: Path, raw: Raw, name: str, found: object) -> None:
    """Add figures to those that are there, in the file as well."""
    raw[name] = found
    place.write_text(json.dumps(raw), "utf-8")


def _over_s3(once: Callable[[str, Callable[[], Any]], None]) -> None:
    with scale_exchange.exchange() as (server, pid):
        once("transfers", lambda: _plain(scale_exchange.transfers(server, pid, 6)))
        for parties in PARTIES:
            rounds = 2 if parties > MANY else 3
            once(
                f"run {parties}",
                lambda p=parties, r=rounds: _plain(
                    scale_exchange.rounds(p, r, server=(server, pid))
                ),
            )


def _memory(parties: int, kind: str) -> Raw:
    return _plain(scale_exchange.rounds(parties, 5, tiny=kind == "tiny"))


def _prefect() -> Raw:
    few, many, rates = scale_prefect.measured(2, 6, 8, 600)
    rounds = {"few": few, "many": many}
    found = {name: {**vars(one), "rows": dict(one.rows)} for name, one in rounds.items()}
    return {**found, "rates": asdict(rates)}


def _plain(found: Raw) -> Raw:
    """With CPU seconds as plain numbers."""
    return {name: asdict(one) if hasattr(one, "client") else one for name, one in found.items()}


def constants(raw: Raw) -> Constants:
    """The model's constants; slopes are between few and many parties."""
    put, get, question = (raw["transfers"][name] for name in ("put", "get", "question"))
    small, base = line(*(_client(raw[f"memory tiny {one}"]) for one in (FEW, MANY)))
    slope, rest = line(*(_client(raw[f"memory resnet18 {one}"]) for one in (FEW, MANY)))
    asked, _ = line(*(raw[f"run {one}"]["requests"] for one in (FEW, MANY)))
    hashed, add = raw["work"]["hash"], raw["work"]["add"]
    few, many = raw["prefect"]["few"], raw["prefect"]["many"]
    between = {"few": 2, "many": 6}
    runs = [one["rows"]["task_run"] for one in (few, many)]
    tasks_party, tasks_round = map(round, line(*runs, **between))  # rounds are cut at looks
    return Constants(
        put=put["server"],
        get=get["server"],
        question=question["server"],
        sent=put["client"],
        received=get["client"],
        asked=question["client"],
        pack=(slope - small) / MODEL - hashed - add,
        fetch=get["client"] + hashed,
        add=add,
        publish=max(0.0, rest - base) / MODEL,
        reply=small,
        party=line(few["parties"], many["parties"], **between)[0],
        coordinator=line(few["coordinator"], many["coordinator"], **between)[0],
        api=raw["prefect"]["rates"]["processor"],
        tasks_party=tasks_party,
        tasks_round=tasks_round,
        requests=asked,
        **LOOKS,
    )


def line(at_few: float, at_many: float, few: int = FEW, many: int = MANY) -> tuple[float, float]:
    """Slope and beginning of the straight line through two points."""
    slope = (at_many - at_few) / (many - few)
    return slope, at_few - few * slope


def _client(run: Raw) -> float:
    return float(run["spent"]["client"])
