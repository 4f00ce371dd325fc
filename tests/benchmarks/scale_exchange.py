"""What the hub's exchange and its clients cost for each MB and each request, in CPU seconds.

Several clients at once, each a process of its own, as sessions are. The exchange's own time is read
from /proc, and is that of both its processes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scale_hub import Exchange, processor

from fedcore.exchange.s3 import S3Store

MB = 1e6
MODEL = 44.75  # resnet18's, in MB
CLIENTS = 4
BUCKET = "scale"
IDLE_SECONDS = 10.0
FOLDER = 6  # objects in the folder that a waiting party looks into
# What a client does, how often, and what of it is one.
STEPS = {
    "put": (3, MODEL),
    "get": (3, MODEL),
    "view": (3, MODEL),
    "question": (200, 1.0),
    "look": (100, 1.0),
    "write": (100, 1.0),
}


@dataclass(frozen=True)
class Spent:
    """Seconds, and CPU seconds of the clients and of the exchange."""

    seconds: float
    client: float
    server: float

    def per(self, count: float) -> Spent:
        return Spent(self.seconds / count, self.client / count, self.server / count)

    @property
    def processor(self) -> float:
        return self.client + self.server


def transfers(exchange: Exchange) -> dict[str, Spent]:
    """A MB in as parties send it, a MB out into a party's file and into the coordinator's memory.

    And a small request, a look into a folder, a small object; and a second of doing nothing.
    """
    words = [sys.executable, __file__, exchange.endpoint]
    environ = {**os.environ, **exchange.environ, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        clients = [
            subprocess.Popen(
                [*words, folder, str(number)],
                env=environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(CLIENTS)
        ]
        try:
            said(clients)
            found = {
                name: together(clients, exchange, name, count).per(CLIENTS * count * unit)
                for name, (count, unit) in STEPS.items()
            }
        finally:
            for client in clients:
                client.communicate()
    before = processor(exchange.pids)
    threading.Event().wait(IDLE_SECONDS)
    nothing = (processor(exchange.pids) - before) / IDLE_SECONDS
    return found | {"idle": Spent(1.0, 0.0, nothing)}


def together(
    clients: list[subprocess.Popen[str]], exchange: Exchange, name: str, count: int
) -> Spent:
    """What it costs when all clients do that so often at once."""
    begun, before = time.monotonic(), processor(exchange.pids)
    for client in clients:
        if client.stdin is not None:
            client.stdin.write(f"{name} {count}\n")
            client.stdin.flush()
    used = sum(said(clients))
    return Spent(time.monotonic() - begun, used, processor(exchange.pids) - before)


def said(clients: list[subprocess.Popen[str]]) -> list[float]:
    """A line of each client."""
    return [float(one.stdout.readline()) for one in clients if one.stdout is not None]


def client(endpoint: str, folder: Path, name: str) -> None:
    """A client's process: does what a line says so often, and answers with its CPU seconds."""
    store = S3Store(endpoint, BUCKET, dict(os.environ))
    store.prepare()
    acts = acts_of(store, folder, name)
    print(0.0, flush=True)
    for line in sys.stdin:
        step, count = line.split()
        before = time.process_time()
        for turn in range(int(count)):
            acts[step](turn)
        print(time.process_time() - before, flush=True)


def acts_of(store: S3Store, folder: Path, name: str) -> dict[str, Callable[[int], object]]:
    """What a client can do, by its name."""
    path, down, own = folder / f"up-{name}", folder / f"down-{name}", f"looks/{name}"
    path.write_bytes(os.urandom(int(MODEL * MB)))
    for number in range(FOLDER):
        store.put_once(f"{own}/{number}", b"something")

    def get(_: int) -> None:
        down.unlink(missing_ok=True)
        store.get_to_file(f"big/{name}-0", down)

    return {
        "put": lambda turn: store.put_file_once(f"big/{name}-{turn}", path),
        "get": get,
        "view": lambda _: store.view(f"big/{name}-0"),
        "question": lambda _: store.exists(f"none/{name}"),
        "look": lambda _: store.keys(f"{own}/"),
        "write": lambda turn: store.put_once(f"small/{name}-{turn}", b"x" * 1000),
    }


if __name__ == "__main__":
    client(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
