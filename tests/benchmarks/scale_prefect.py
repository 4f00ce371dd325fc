"""What Prefect costs in a round, and how much a hub's server with SQLite takes.

The real command with a tiny network over a Prefect server of its own; then the events of one of its
task runs, with other ids, sent to a hub's Prefect by a party, as fast as it takes them.
"""

from __future__ import annotations

import base64
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "peers"), str(HERE.parent), str(HERE.parents[1])]

import many_rounds  # noqa: E402
import scale_hub  # noqa: E402
from command_story import until  # noqa: E402
from overhead import ends_of  # noqa: E402
from scale_hub import processor  # noqa: E402
from servers import free_ports  # noqa: E402

from flows.hub import pools  # noqa: E402
from flows.hub.home import Hub  # noqa: E402
from flows.hub.prefect_users import add_user  # noqa: E402

WARM_UP = 2
BATCH = 50  # log lines that a deployed process sends at once
LINES = 4  # side by side
PATIENCE = 240.0
IDLE_SECONDS = 5.0
NAME = "a"
FLOW_RUN = re.compile(r"prefect\.flow-run\.([0-9a-f-]{36})")


@dataclass(frozen=True)
class Server:
    """A Prefect server, and its folder."""

    url: str
    home: Path

    @property
    def database(self) -> Path:
        return self.home / "prefect.db"


@dataclass(frozen=True)
class Round:
    """Of a round of the command: CPU seconds by role, and task runs."""

    parties: float
    coordinator: float
    task_runs: float


@dataclass(frozen=True)
class Rates:
    """Of a hub's Prefect with SQLite: CPU seconds of a question, an idle second, a task run.

    And how many task runs a second it wrote down, each with a log line.
    """

    poll: float
    idle: float
    task_runs: float
    processor: float


@contextmanager
def prefect(home: Path) -> Iterator[Server]:
    """A server that has begun to answer; it ends with the block."""
    home.mkdir(parents=True)
    port = free_ports(("prefect",))["prefect"]
    environ = {**os.environ, "PREFECT_HOME": str(home), "DO_NOT_TRACK": "1"}
    environ |= {
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
    }
    environ["PYTHONPATH"] = str(HERE.parents[1])
    with (home / "printed").open("wb") as out:
        words = [sys.executable, __file__, str(port)]
        process = subprocess.Popen(words, env=environ, stdout=out, stderr=out)
    server = Server(f"http://127.0.0.1:{port}/api", home)
    try:
        until(lambda: process.poll() is not None or answers(server.url), "Prefect", PATIENCE, 0.2)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def command(folder: Path, server: Server, parties: int, rounds: int) -> Round:
    """The real command over that server; what a round after the first two costs."""
    site = many_rounds.prepared(folder, parties, rounds)
    site.environ = {"PREFECT_API_URL": server.url}
    looks = list(many_rounds.watched(site))
    if site.wait() != 0:
        sys.exit(site.printed)
    start = next(at for at, seen in enumerate(looks) if seen.rounds > WARM_UP)
    end = max(start + 1, len(looks) - 2)
    first, last = looks[start], looks[end]
    each = 1 / (last.rounds - first.rounds)
    used = {one: (last.processor[one] - first.processor[one]) * each for one in last.processor}
    ends = ends_of(many_rounds.ledger_of(site))[WARM_UP:]
    return Round(used["parties"], used["coordinator"], task_runs(server.database, ends))


def task_runs(database: Path, ends: list[datetime]) -> float:
    """How many task runs began in a round, of the rounds that ended at these moments."""
    between = [moment.strftime("%Y-%m-%d %H:%M:%S.%f") for moment in (ends[0], ends[-1])]
    query = "select count(*) from task_run where start_time > ? and start_time <= ?"
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=20) as lines:
        (found,) = lines.execute(query, between).fetchone()
    return int(found) / (len(ends) - 1)


def rates(source: Path, count: int) -> Rates:
    """What a hub's own Prefect takes from a party: `count` task runs, and its worker's questions.

    The task runs are one of the command's, whose database `source` is, as if of another flow run.
    """
    asked = count // 4
    with scale_hub.prefect() as (hub, pid):
        party, database = Party.joined(hub), hub.home / "prefect" / "prefect.db"
        poll = cost(pid, lambda: [party.ask() for _ in range(asked)]) / (2 * asked)
        idle = cost(pid, lambda: threading.Event().wait(IDLE_SECONDS)) / IDLE_SECONDS
        events = list(again(source, count, party.flow_run))
        begun = time.monotonic()
        used = cost(pid, lambda: tell(party, events, database, count))
        return Rates(poll, idle, count / (time.monotonic() - begun), used / count)


def cost(pid: int, act: Callable[[], object]) -> float:
    """The server's CPU seconds while something is done."""
    before = processor((pid,))
    act()
    return processor((pid,)) - before


def tell(party: Party, events: list[dict[str, Any]], database: Path, count: int) -> None:
    """Send the events, a task run at a time as parties do, and log lines; until all are written."""
    size = len(events) // count
    batches = [events[at : at + size] for at in range(0, len(events), size)]
    with ThreadPoolExecutor(LINES) as lines:
        list(lines.map(lambda batch: party.post("events", batch), batches))
    for _ in range(0, count, BATCH):
        party.post("logs/", [party.line] * BATCH)
    until(lambda: written(database) >= count, "task runs", PATIENCE, 0.1)


@dataclass(frozen=True)
class Party:
    """A party at a hub's Prefect: its credential, its pool and a flow run in it."""

    url: str
    credential: str
    pool: str
    flow_run: str

    @classmethod
    def joined(cls, hub: Hub) -> Party:
        """A new party, with a flow run that is scheduled."""
        pools.ensure_pools(hub.prefect_environ(), (NAME,))
        pool = pools.party_pool(NAME)
        with pools.connected(hub.prefect_environ()) as api:
            flow = api.create_flow_from_name("party-session")
            deployment = api.create_deployment(flow, "a session", work_pool_name=pool)
            flow_run = api.create_flow_run_from_deployment(deployment)
        return cls(hub.prefect_url, add_user(hub, NAME), pool, str(flow_run.id))

    @property
    def line(self) -> dict[str, object]:
        """A log line of the flow run."""
        now = datetime.now(UTC).isoformat()
        told = {"name": "prefect.flow_runs", "level": 20, "timestamp": now}
        return {**told, "message": "round 1: trained", "flow_run_id": self.flow_run}

    def ask(self) -> None:
        """What its worker asks while a session runs."""
        beat = {"name": "worker", "heartbeat_interval_seconds": 4}
        self.post(f"work_pools/{self.pool}/workers/heartbeat", beat)
        self.post("flow_runs/filter", {"flow_runs": {"id": {"any_": [self.flow_run]}}})

    def post(self, path: str, body: object) -> None:
        """Ask, and wait for the answer."""
        shown = base64.b64encode(self.credential.encode()).decode()
        words = {"Content-Type": "application/json", "Authorization": f"Basic {shown}"}
        request = urllib.request.Request(f"{self.url}/{path}", json.dumps(body).encode(), words)
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()


def written(database: Path) -> int:
    """Task runs in a database that have ended."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=20) as lines:
        (found,) = lines.execute("select count(*) from task_run where state_type = 'COMPLETED'")
        return int(found[0])


def again(database: Path, count: int, flow_run: str) -> Iterator[dict[str, Any]]:
    """The events of one task run of the command, as if of `count` others."""
    query = "select id, occurred, event, resource, related, payload, resource_id from events"
    query += " where event like 'prefect.task-run.%' order by occurred"
    with sqlite3.connect(database, timeout=20) as lines:
        rows = list(lines.execute(query))
    ended = next(row[-1] for row in rows if row[2].endswith("Completed"))
    kept = [row for row in rows if row[-1] == ended]
    task_run = ended.rpartition(".")[2]
    standing = next(found[1] for row in kept if (found := FLOW_RUN.search(row[4])))
    for _ in range(count):
        other = str(uuid4())
        for _, occurred, event, resource, related, payload, _ in kept:
            body = {
                "occurred": f"{occurred.replace(' ', 'T')}Z",
                "event": event,
                "id": str(uuid4()),
            }
            parts = {"resource": resource, "related": related, "payload": payload}
            texts = {
                name: text.replace(task_run, other).replace(standing, flow_run)
                for name, text in parts.items()
            }
            found = {name: json.loads(text) for name, text in texts.items()}
            found["related"] = [one for one in found["related"] if flow_run in str(one)]
            # Of a flow run's task runs no two may share this.
            found["payload"]["task_run"]["dynamic_key"] = other
            yield body | found


def measured(few: int, many: int, rounds: int, count: int) -> tuple[Round, Round, Rates]:
    """Rounds of `few` and of `many` parties, and what the server takes."""
    safe = tempfile.TemporaryDirectory(prefix="scale-", ignore_cleanup_errors=True)
    with safe as name, prefect(Path(name) / "server") as server:
        found = [command(Path(name) / str(one), server, one, rounds) for one in (few, many)]
        rate = rates(server.database, count)
    return found[0], found[1], rate


def serve(port: int) -> None:
    """The server's process: Prefect's own API."""
    import uvicorn  # noqa: PLC0415
    from prefect.server.api.server import create_app  # noqa: PLC0415

    uvicorn.run(create_app(), host="127.0.0.1", port=port, log_level="error")


if __name__ == "__main__":
    serve(int(sys.argv[1]))
