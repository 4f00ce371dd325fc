"""Services of the hub for measurements, started as a hub starts them: its exchange, its Prefect."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "peers"), str(HERE.parent), str(HERE.parents[1])]

from command_story import until  # noqa: E402
from processes import seconds, tree  # noqa: E402

from flows.hub import seaweed, services  # noqa: E402
from flows.hub.home import Hub  # noqa: E402
from flows.hub.service import Service  # noqa: E402

PATIENCE = 240.0


@dataclass(frozen=True)
class Exchange:
    """The hub's two processes, door and storage: where the door is, and the coordinator's keys."""

    endpoint: str
    environ: Mapping[str, str]
    pids: tuple[int, ...]


@contextmanager
def exchange() -> Iterator[Exchange]:
    """A new hub's exchange that answers; it ends with the block."""
    with new_hub() as hub, ExitStack() as ends:
        table = (seaweed.storage(hub), seaweed.exchange(hub))
        pids = tuple(ends.enter_context(running(hub, one)) for one in table)
        yield Exchange(hub.exchange.location, hub.exchange_environ(), pids)


@contextmanager
def prefect() -> Iterator[tuple[Hub, int]]:
    """A new hub's Prefect that answers, and its process; it ends with the block."""
    with new_hub() as hub, running(hub, services.prefect(hub)) as pid:
        yield hub, pid


@contextmanager
def new_hub() -> Iterator[Hub]:
    """A hub in a folder of its own; nothing of it runs."""
    with tempfile.TemporaryDirectory(prefix="scale-", ignore_cleanup_errors=True) as name:
        yield Hub.create(Path(name) / "hub")


@contextmanager
def running(hub: Hub, service: Service) -> Iterator[int]:
    """A service that answers, and the process that it is."""
    service.prepare()
    with (hub.home / "logs" / service.name).open("wb") as out:
        environ = {**os.environ, **service.environ}
        process = subprocess.Popen(
            service.command, cwd=service.cwd, env=environ, stdout=out, stderr=out
        )
    try:
        until(lambda: service.probe("scale"), service.name, PATIENCE, 0.2)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(service.grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        service.tidy()


def processor(pids: tuple[int, ...]) -> float:
    """CPU seconds of processes by now."""
    return sum(seconds(tree(pid)[pid]) for pid in pids)
