"""A Prefect server that can be stopped and started again, and a worker with a small flow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from command_story import ROOT, tree, until
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

HERE = ROOT / "tests" / "worker"
LIMIT = 60.0


def api(url: str) -> SyncPrefectClient:
    """A client of that server."""
    with temporary_settings({PREFECT_API_URL: url}):
        return get_client(sync_client=True)


@dataclass
class Pool:
    """A work pool of type process with a deployment, and what a test asks about it."""

    url: str
    name: str
    client: SyncPrefectClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = api(self.url)
        with self.settings():
            self.client.create_work_pool(WorkPoolCreate(name=self.name, type="process"))

    def settings(self) -> Any:
        return temporary_settings({PREFECT_API_URL: self.url, PREFECT_CLIENT_MAX_RETRIES: 4})

    def deploy(self, flow: str, **hostile: Any) -> UUID:
        """A deployment of the flow of that name."""
        with self.settings():
            flow_id = self.client.create_flow_from_name(flow)
            return self.client.create_deployment(
                flow_id, f"{flow}-{self.name}", work_pool_name=self.name, **hostile
            )

    def submit(self, deployment: UUID, name: str, **parameters: Any) -> UUID:
        """A flow run that is due now."""
        with self.settings():
            created = self.client.create_flow_run_from_deployment(
                deployment, parameters=parameters, name=name
            )
        return created.id

    def run(self, flow_run: UUID) -> FlowRun:
        """The flow run as the server has it now."""
        with self.settings():
            return self.client.read_flow_run(flow_run)

    def becomes(self, flow_run: UUID, state: str, limit: float = LIMIT) -> FlowRun:
        """Wait until the flow run is in the state of that name."""
        try:
            until(lambda: self.run(flow_run).state_name == state, state, limit)
        except AssertionError as late:
            raise AssertionError(f"{late}; it is {self.run(flow_run).state!r}") from None
        return self.run(flow_run)

    def tasks(self, flow_run: UUID) -> list[tuple[str, str]]:
        """Names and states of the flow run's task runs."""
        wanted = {"flow_runs": {"id": {"any_": [str(flow_run)]}}, "limit": 200}
        with self.settings():
            found = self.client.request("POST", "/task_runs/filter", json=wanted).json()
        return sorted((one["name"], one["state_name"]) for one in found)


@dataclass
class Worker:
    """A worker's process of a pool, with the small flows of `worker_flows`."""

    pool: Pool
    folder: Path
    name: str = "machine-1"
    environ: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def said(self) -> str:
        path = self.folder / "worker.log"
        return path.read_text() if path.exists() else ""

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "worker.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / "worker_program.py"), self.pool.name, self.name],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, **self.environ, **self._own()},
                start_new_session=True,
            )

    def kill(self) -> None:
        """`kill -9` of the worker alone; its children must notice by themselves."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """SIGTERM, in order."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    def descendants(self) -> set[int]:
        """The processes of this worker, itself left out."""
        assert self.process is not None
        return tree(self.process.pid) - {self.process.pid}

    def _own(self) -> dict[str, str]:
        own = {"PREFECT_API_URL": self.pool.url, "PREFECT_HOME": str(self.folder / "prefect")}
        return {**own, "WORKER_FOLDER": str(self.folder), "PYTHONPATH": f"{ROOT}:{HERE}"}


def marks(folder: Path) -> list[dict[str, Any]]:
    """What the small flow wrote down: a line for each beginning."""
    path = folder / "marks.jsonl"
    return [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def waits(seconds: float, holds: Callable[[], bool]) -> bool:
    """Whether something holds all of that time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not holds():
            return False
        time.sleep(0.05)
    return True
