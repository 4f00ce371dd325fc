"""A hub without commands: real servers, parties that joined, and the worker that runs its flows.

Prefect, SeaweedFS and MLflow are servers of their own; the worker starts the coordinator of a
training in a process of its own, as it does at every hub. No hospital's worker runs: whoever plays
the parties does it beside.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from prefect.client.orchestration import SyncPrefectClient  # noqa: E402
from prefect.settings import PREFECT_API_URL, temporary_settings  # noqa: E402
from rounds_story import key_of  # noqa: E402
from servers import SeaweedFS  # noqa: E402
from servers_mlflow import MlflowServer  # noqa: E402
from servers_prefect_again import PrefectServer  # noqa: E402
from worker_story import api  # noqa: E402

from fedcore.config.task import TaskFile  # noqa: E402
from fedcore.exchange.opening import open_store  # noqa: E402
from fedcore.exchange.s3_users import create_party_user  # noqa: E402
from fedcore.exchange.store import ObjectStore  # noqa: E402
from flows.hub import pools, registry  # noqa: E402
from flows.hub.home import Hub  # noqa: E402
from flows.hub.registry import PartyEntry  # noqa: E402
from flows.hub.secret_store import FILE  # noqa: E402

TRAINING, SESSION = "federated-training", "party-session"


class LightHub:
    """A hub in a folder, its servers, and the worker that runs its flows."""

    def __init__(self, folder: Path) -> None:
        """Nothing runs yet."""
        places = {name: folder / name for name in ("prefect", "mlflow", "seaweedfs")}
        for place in places.values():
            place.mkdir(parents=True)
        self._prefect, self._mlflow = (
            PrefectServer(places["prefect"]),
            MlflowServer(places["mlflow"]),
        )
        self._exchange = SeaweedFS(places["seaweedfs"])
        self._folder = folder

    @contextmanager
    def running(self) -> Iterator[None]:
        """While this lasts, all of it answers."""
        servers = (self._exchange, self._prefect, self._mlflow)
        with ExitStack() as stack:
            for server in servers:
                stack.callback(server.stop)
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda one: one.start(), servers))
            self._found()
            yield

    def _found(self) -> None:
        addresses = (self._exchange.endpoint, self._prefect.url[: -len("/api")], self._mlflow.uri)
        ports = [int(one.rpartition(":")[2]) for one in addresses]
        self.hub = Hub.create(
            self._folder / "hub", dict(zip(("s3", "prefect", "mlflow"), ports, strict=True))
        )
        path = self.hub.home / "secrets" / FILE
        held = json.loads(path.read_text())
        path.write_text(json.dumps({**held, "exchange": list(self._exchange.environ.values())}))
        self.store().prepare()
        pools.ensure_pools(self.hub.prefect_environ(), [])

    def store(self) -> ObjectStore:
        """The exchange, with the coordinator's credentials."""
        return open_store(self.hub.exchange, self.hub.exchange_environ())

    def ledger(self, run: str) -> Path:
        """The coordinator's ledger of a run."""
        return self.hub.home / "runs" / run / "ledger" / "coordinator.jsonl"

    def join(self, names: Sequence[str]) -> None:
        """Let parties of these ids be known at the hub and at Prefect."""
        place = self.hub.exchange
        for number, name in enumerate(names):
            user = create_party_user(
                place.location, self.hub.exchange_environ(), place.bucket, name
            )
            entry = PartyEntry(
                party_id=name,
                role="host" if number else "guest",
                serial=1,
                mark="0" * 32,
                status="joined",
                access_key=user.access_key,
                public_key=key_of(name).public,
                known_serial=1,
            )
            registry.save(self.hub, entry)
        pools.ensure_pools(self.hub.prefect_environ(), names)
        with self._api() as line:
            for flow, deployment, pool in [
                (TRAINING, "train", pools.COORDINATOR_POOL),
                *((SESSION, name, pools.party_pool(name)) for name in names),
            ]:
                known = line.create_flow_from_name(flow)
                line.create_deployment(known, deployment, work_pool_name=pool)

    def submit(self, task: TaskFile, run: str) -> None:
        """Let the training begin, through its deployment."""
        chosen = {"task_file": task.model_dump(mode="json"), "run": run}
        with self._api() as line:
            found = line.read_deployment_by_name(f"{TRAINING}/train")
            line.create_flow_run_from_deployment(found.id, parameters=chosen)

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """The hub's own worker, which starts a process for each training."""
        words = [sys.executable, "-m", "flows.worker.coordinator", str(self.hub.home)]
        with (self._folder / "worker.log").open("ab") as log:
            program = subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=log)
        try:
            yield program
        finally:
            program.terminate()
            program.wait(60)

    def logs(self) -> str:
        """The ends of what worker and flow have printed."""
        paths = [self._folder / "worker.log", *(self.hub.home / "logs").rglob("*.log")]
        return "\n".join(f"== {one}\n{one.read_text('utf-8', 'replace')[-3000:]}" for one in paths)

    @contextmanager
    def _api(self) -> Iterator[SyncPrefectClient]:
        with temporary_settings({PREFECT_API_URL: self._prefect.url}):
            yield api(self._prefect.url)
