"""What exchange, coordinator and party cost for each megabyte and each request, in CPU seconds.

A real SeaweedFS; its own time is read from /proc. Rounds of the neutral work run in a process of
their own: over memory, to see what a party costs in it, and over SeaweedFS, which is what the
model is held against.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "peers"), str(HERE.parent), str(HERE.parents[1])]

from codecs_speed import like_resnet18  # noqa: E402
from processes import seconds, tree  # noqa: E402
from servers import SeaweedFS  # noqa: E402

from fedcore.exchange.memory import MemoryStore  # noqa: E402
from fedcore.exchange.s3 import S3Store  # noqa: E402
from fedcore.exchange.store import ObjectStore  # noqa: E402
from fedcore.params import finite_norm  # noqa: E402
from fedcore.strategies.mean import WeightedMean  # noqa: E402

MB = 1e6
MODEL = 44.75  # resnet18's, in MB
WARM_UP = 1
ASKED = ("size", "keys", "view", "get_range", "put_once")
BUCKET = "scale"


@dataclass(frozen=True)
class Spent:
    """Seconds, and CPU seconds of this process and of the exchange's server."""

    seconds: float
    client: float
    server: float

    def per(self, count: float) -> Spent:
        return Spent(self.seconds / count, self.client / count, self.server / count)

    @property
    def processor(self) -> float:
        return self.client + self.server


@contextmanager
def exchange() -> Iterator[tuple[SeaweedFS, int]]:
    """A server of its own, and its process."""
    with tempfile.TemporaryDirectory(prefix="scale-", ignore_cleanup_errors=True) as name:
        server, before = SeaweedFS(Path(name)), set(tree(os.getpid()))
        server.start()
        try:
            yield server, next(iter(set(tree(os.getpid())) - before))
        finally:
            server.stop()


def spent(act: Callable[[], object], server: int) -> Spent:
    """What `act` costs."""
    begun, mine, theirs = time.monotonic(), time.process_time(), processor(server)
    act()
    used = time.process_time() - mine
    return Spent(time.monotonic() - begun, used, processor(server) - theirs)


def processor(pid: int) -> float:
    """CPU seconds of a process by now; none without a process."""
    return seconds(tree(pid)[pid]) if pid else 0.0


def transfers(server: SeaweedFS, pid: int, turns: int) -> dict[str, Spent]:
    """A MB in as parties send it, a MB out as the coordinator reads it, and a small request."""
    store = S3Store(server.endpoint, BUCKET, server.environ)
    store.prepare()
    body = np.random.default_rng(0).bytes(int(MODEL * MB))
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        path = Path(file.name)
        put = [lambda one=one: store.put_file_once(f"big/{one}", path) for one in range(turns)]
        found = {"put": spent(lambda: [one() for one in put], pid).per(turns * MODEL)}
    get = [lambda one=one: store.view(f"big/{one}") for one in range(turns)]
    found["get"] = spent(lambda: [one() for one in get], pid).per(turns * MODEL)
    asked = 100 * turns
    found["question"] = spent(lambda: [store.exists(f"none/{one}") for one in range(asked)], pid)
    return found | {"question": found["question"].per(asked)}


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
    return {
        name: spent(lambda act=act: [act() for _ in range(turns)], 0).client / turns / size
        for name, act in acts.items()
    }


def rounds(parties: int, count: int, *, tiny: bool = False, server: Any = None) -> dict[str, Any]:
    """Rounds of one process in a process of its own: what one costs, the first left out."""
    words = [sys.executable, __file__, str(parties), str(count), "tiny" if tiny else "resnet18"]
    more = {}
    if server is not None:
        one, pid = server
        words += [one.endpoint, str(pid)]
        more = dict(one.environ)
    environ = {**os.environ, "OMP_NUM_THREADS": "1", **more}
    done = subprocess.run(words, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return {"requests": found["requests"], "spent": Spent(*found["spent"]), "peak": found["peak"]}


def main() -> None:
    """The process of `rounds`."""
    import ours  # noqa: PLC0415 (torch, which the coordinator's figures are without)

    from fedcore.rounds.party import scoring, training  # noqa: PLC0415
    from fedcore.simulation import World, simulate_cohorts  # noqa: PLC0415

    parties, count, kind, *place = sys.argv[1:]
    training.train_round, scoring.evaluate = ours.trained_at_once, ours.scored_at_once
    store: ObjectStore = MemoryStore()
    if place:
        store = S3Store(place[0], f"{BUCKET}-{parties}", dict(os.environ))
    store.prepare()
    asked, pid, marks = counted(store), int(place[1]) if place else 0, []

    def mark(_: object) -> None:
        marks.append((time.monotonic(), time.process_time(), processor(pid), sum(asked.values())))

    task = ours.task_file(int(count))
    if kind == "tiny":
        model = {"name": "cnn", "input_size": [3, ours.SIDE, ours.SIDE], "num_classes": 2}
        task = type(task).model_validate({**task.model_dump(mode="json"), "model": model})
    names = [f"{number:05d}" for number in range(int(parties))]
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        world = World(Path(folder), store, on_record=mark)
        simulate_cohorts(task, {one: ours.cohort(at) for at, one in enumerate(names)}, world)
    steady = marks[WARM_UP - 1 :]
    each = [
        (end - start) / (len(steady) - 1) for start, end in zip(steady[0], steady[-1], strict=True)
    ]
    print(json.dumps({"spent": each[:3], "requests": each[3], "peak": peak()}))


def counted(store: ObjectStore) -> dict[str, int]:
    """How often the store asks its server something, by the kind of question, from now on."""
    asked = dict.fromkeys(ASKED, 0)

    def counting(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def asking(*words: Any, **named: Any) -> Any:
            asked[name] += 1
            return act(*words, **named)

        return asking

    for name in ASKED:
        setattr(store, name, counting(name, getattr(store, name)))
    return asked


def peak() -> float:
    """The most memory that this process has had, in MB."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
