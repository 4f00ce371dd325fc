"""Rounds of the neutral work in a process of their own: what they cost, and what a session does.

Over memory, to see what a party costs in one process; over the hub's exchange, which is what the
model is held against; and one party alone over that exchange as its session would be, with its own
disk and nothing kept for anybody else.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from codecs_speed import like_resnet18
from scale_exchange import BUCKET, MB, Spent
from scale_hub import Exchange, processor

from fedcore.exchange.memory import MemoryStore
from fedcore.exchange.s3 import S3Store
from fedcore.exchange.store import ObjectStore
from fedcore.exchange.throttle import Throttle
from fedcore.params import finite_norm
from fedcore.strategies.mean import WeightedMean

WARM_UP = 1
WRITES = "put_once"
ASKED = ("size", "keys", "view", "get_range", WRITES)
MODELS = {"tiny": "cnn", "small": "mobilenet_v2", "resnet18": "resnet18", "large": "resnet50"}
SESSION = ("train", "upload", "score", "score_final", "next_request")  # what a party does
MBIT = 1e6 / 8


def work(turns: int) -> dict[str, float]:
    """The coordinator's CPU seconds for a MB: SHA-256, and looking at and adding an update."""
    update, mean = like_resnet18(), WeightedMean()
    size = sum(array.nbytes for array in update.values()) / MB
    body = b"".join(array.tobytes() for array in update.values())
    mean.add(update, 1.0)
    acts = {
        "hash": lambda: hashlib.sha256(body).digest(),
        "add": lambda: (finite_norm(update, "control/"), mean.add(update, 3.0)),
    }
    found = {}
    for name, act in acts.items():
        before = time.process_time()
        for _ in range(turns):
            act()
        found[name] = (time.process_time() - before) / turns / size
    return found


def rounds(
    parties: int,
    count: int,
    kind: str,
    exchange: Exchange | None = None,
    *,
    line: float = 0.0,
    alone: bool = False,
) -> dict[str, Any]:
    """What a round costs, the first left out; `line` is each party's in Mbit/s, 0 for no limit."""
    words = [sys.executable, __file__, str(parties), str(count), kind, f"--line={line}"]
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    if exchange is not None:
        words += ["--endpoint", exchange.endpoint, "--pids", *map(str, exchange.pids)]
        environ |= exchange.environ
    words += ["--alone"] if alone else []
    done = subprocess.run(words, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return found | {"spent": Spent(*found["spent"])}


def main() -> None:
    """The process of `rounds`."""
    import ours  # noqa: PLC0415 (torch, which the coordinator's figures are without)

    from fedcore.rounds.party import Near, scoring, training  # noqa: PLC0415
    from fedcore.simulation import World, simulate_cohorts  # noqa: PLC0415

    given = typed()
    training.train_round, scoring.evaluate = ours.trained_at_once, ours.scored_at_once
    marks, meter = [], Meter()
    names = [f"{number:05d}" for number in range(given.parties)]
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        world = World(Path(folder), opened(given, 0.0))
        world.store.prepare()
        meter.count(world.store)
        stores = {one: opened(given, given.line) for one in names} if given.line else {}
        for store in stores.values():
            meter.count(store)
        more = {"near": Near(most=1, shared=False)} if given.alone else {}
        pids = tuple(given.pids)
        world = World(
            Path(folder),
            world.store,
            on_record=lambda _: marks.append(meter.look(processor(pids))),
            stores=stores,
            **more,
        )
        with meter.watching_sessions():
            task = task_of(ours, given.kind, given.count)
            simulate_cohorts(task, {one: ours.cohort(at) for at, one in enumerate(names)}, world)
    print(json.dumps(told(marks[WARM_UP - 1 :], given.count - WARM_UP)))


def typed() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("parties", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("kind")
    parser.add_argument("--line", type=float, default=0.0)
    parser.add_argument("--endpoint", default="")
    parser.add_argument("--pids", type=int, nargs="*", default=[])
    parser.add_argument("--alone", action="store_true")
    return parser.parse_args()


def opened(given: argparse.Namespace, line: float) -> ObjectStore:
    """The exchange, over a line of so many Mbit/s."""
    if not given.endpoint:
        return MemoryStore(keeps=False)
    bucket = f"{BUCKET}-{given.parties}-{given.kind}-{given.line:.0f}"
    bucket += "-alone" if given.alone else ""
    throttle = Throttle(bytes_per_second=line * MBIT) if line else None
    return S3Store(given.endpoint, bucket, dict(os.environ), throttle)


def task_of(ours: Any, kind: str, count: int) -> Any:
    """The neutral task with that model."""
    task = ours.task_file(count)
    model = {"name": MODELS[kind], "input_size": [3, ours.SIDE, ours.SIDE], "num_classes": 2}
    return type(task).model_validate({**task.model_dump(mode="json"), "model": model})


@dataclass(frozen=True)
class Mark:
    """What had been spent at the end of a round: by parties is what their own steps took."""

    seconds: float
    client: float
    server: float
    by_parties: float
    asked: Counter[str]
    megabytes: float


@dataclass
class Meter:
    """Counts what a store is asked, and the CPU seconds of the parties' own steps."""

    by_parties: float = 0.0
    asked: Counter[str] = field(default_factory=Counter)
    side: str = "coordinator"
    model: int = 0

    def look(self, server: float) -> Mark:
        used = time.process_time()
        asked = Counter(self.asked)
        return Mark(time.monotonic(), used, server, self.by_parties, asked, self.model / MB)

    def count(self, store: ObjectStore) -> None:
        """From now on, how often the store asks its server something, and for whom."""

        def asking(name: str, act: Callable[..., Any], *words: Any, **named: Any) -> Any:
            self.asked[f"{self.side} {'writes' if name == WRITES else 'asks'}"] += 1
            found = act(*words, **named)
            if name == "view":
                self.model = max(self.model, len(found))
            return found

        for name in ASKED:
            setattr(store, name, partial(asking, name, getattr(store, name)))

    @contextmanager
    def watching_sessions(self) -> Any:
        """Take the time of what the parties do, step by step."""
        from fedcore import simulation  # noqa: PLC0415

        def doing(act: Callable[..., Any], *words: Any, **named: Any) -> Any:
            before, self.side = time.process_time(), "party"
            try:
                return act(*words, **named)
            finally:
                self.by_parties += time.process_time() - before
                self.side = "coordinator"

        for name in SESSION:
            setattr(simulation.party, name, partial(doing, getattr(simulation.party, name)))
        yield


def told(marks: list[Mark], count: int) -> Mapping[str, Any]:
    """What a round took between the first mark and the last."""
    first, last = marks[0], marks[-1]
    spent = [
        (getattr(last, one) - getattr(first, one)) / count
        for one in ("seconds", "client", "server", "by_parties")
    ]
    asked = {name: (last.asked[name] - first.asked[name]) / count for name in sorted(last.asked)}
    return {
        "spent": spent[:3],
        "by parties": spent[3],
        "asked": asked,
        "model": last.megabytes,
        "peak": peak(),
    }


def peak() -> float:
    """The most memory that this process has had, in MB."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
