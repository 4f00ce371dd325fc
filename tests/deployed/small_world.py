"""A hub and two hospitals on this machine, with plain servers: everything but the commands."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from command_story import ROOT
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from rounds_story import key_of
from servers import SeaweedFS
from servers_mlflow import MlflowServer
from servers_prefect_again import PrefectServer
from worker_story import api

from fedcore.config.task import TaskFile
from fedcore.exchange import codec, keys
from fedcore.exchange.opening import open_store
from fedcore.exchange.s3_users import create_party_user
from fedcore.params import digest
from fedcore.rounds import sealed
from fedcore.rounds.messages import Agreement, End, Record
from flows.hub import deployments, pools, registry
from flows.hub.home import Hub
from flows.hub.registry import PartyEntry
from flows.hub.secret_store import FILE

ROLES = {"1": "guest", "2": "host"}

PAGE = 200  # task runs that Prefect gives at most in one answer


@dataclass
class SmallWorld:
    """The hub's home, the hospitals' homes, and the programs that work for them."""

    folder: Path
    prefect: PrefectServer
    mlflow: MlflowServer
    seaweedfs: SeaweedFS
    data: Mapping[str, Path]
    hub: Hub = field(init=False)
    client: SyncPrefectClient = field(init=False)
    programs: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ports = {
            "s3": int(self.seaweedfs.endpoint.rpartition(":")[2]),
            "prefect": int(self.prefect.url.removesuffix("/api").rpartition(":")[2]),
            "mlflow": int(self.mlflow.uri.rpartition(":")[2]),
        }
        self.hub = Hub.create(self.folder / "coordinator", ports)
        path = self.hub.home / "secrets" / FILE
        held = json.loads(path.read_text())
        held["exchange"] = list(self.seaweedfs.environ.values())
        path.write_text(json.dumps(held))
        open_store(self.hub.exchange, self.hub.exchange_environ()).prepare()
        for party in ROLES:
            self._join(party)
        self.client = api(self.prefect.url)
        pools.ensure_pools(self.hub.prefect_environ(), ROLES)
        self._deploy()

    def home(self, party: str) -> Path:
        return self.folder / f"hospital-{party}"

    def _join(self, party: str) -> None:
        home = self.home(party)
        key = key_of(f"party-{party}")
        key.save(home / "keys" / f"party-{party}.key")
        public = key_of("coordinator").public
        lead = self.hub.coordinator_key_path
        lead.unlink(missing_ok=True)
        key_of("coordinator").save(lead)
        local = {"role": ROLES[party], "party_id": party, "data": str(self.data[party])}
        if ROLES[party] == "guest":
            local["pretrain"] = "public"
        party_file = {
            "local": local,
            "remote": [],
            "coordinator": {
                "public_key": public,
                "exchange": str(self.hub.exchange),
                "prefect": self.hub.prefect_url,
            },
        }
        (home / "party_config.json").write_text(json.dumps(party_file))
        (home / "policy.yaml").write_text("decide: accept\n")
        place = (self.seaweedfs.endpoint, self.seaweedfs.environ, self.hub.exchange.bucket)
        user = create_party_user(*place, party)
        secret = {
            "AWS_ACCESS_KEY_ID": user.access_key,
            "AWS_SECRET_ACCESS_KEY": user.secret_key,
            "PREFECT_API_AUTH_STRING": f"party-{party}:x",
        }
        lines = "".join(f"{name}={value}\n" for name, value in secret.items())
        (home / "secrets.env").touch(mode=0o600)
        (home / "secrets.env").write_text(lines)
        entry = PartyEntry(
            party_id=party,
            role=ROLES[party],
            serial=1,
            mark=secrets.token_hex(16),
            status="joined",
            access_key=user.access_key,
            public_key=key.public,
            known_serial=1,
        )
        registry.save(self.hub, entry)

    def _deploy(self) -> None:
        file = deployments.write(self.hub.home, list(ROLES))
        words = [sys.executable, "-m", "prefect", "--no-prompt", "deploy"]
        done = subprocess.run(
            [*words, "--prefect-file", str(file), "--all"],
            cwd=ROOT,
            env={**os.environ, **self.hub.prefect_environ()},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, *names: str) -> None:
        """Start the workers of those names: `coordinator`, `1`, `2`."""
        for name in names:
            program = ["flows.worker.coordinator", str(self.hub.home)]
            if name != "coordinator":
                program = ["flows.cli", "party", "start", "--home", str(self.home(name))]
            self._run(name, program)

    def start_copy(self, party: str, name: str) -> None:
        """Start a second worker of a hospital, in a copy of its home as on another machine."""
        home = shutil.copytree(self.home(party), self.folder / f"hospital-{name}")
        self._run(name, ["flows.cli", "party", "start", "--home", str(home)])

    def _run(self, name: str, program: list[str]) -> None:
        with self.log(name).open("ab") as log:
            self.programs[name] = subprocess.Popen(
                [sys.executable, "-m", *program],
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def log(self, name: str) -> Path:
        return self.folder / f"worker-{name}.log"

    def end(self) -> None:
        for program in self.programs.values():
            if program.poll() is None:
                program.terminate()
        for program in self.programs.values():
            program.wait(30)

    def settings(self) -> Any:
        return temporary_settings(
            {PREFECT_API_URL: self.prefect.url, PREFECT_CLIENT_MAX_RETRIES: 4}
        )

    def submit(self, deployment: str, **parameters: Any) -> UUID:
        """A flow run of the deployment of that name."""
        with self.settings():
            found = self.client.read_deployment_by_name(deployment)
            created = self.client.create_flow_run_from_deployment(found.id, parameters=parameters)
        return created.id

    def runs(self) -> dict[str, FlowRun]:
        """All flow runs by name; of those with one name the newest."""
        with self.settings():
            found = self.client.read_flow_runs()
        return {one.name: one for one in sorted(found, key=lambda one: str(one.created))}

    def run(self, flow_run: UUID) -> FlowRun:
        with self.settings():
            return self.client.read_flow_run(flow_run)

    def is_over(self, flow_run: UUID) -> bool:
        """Whether the flow run has ended; fails when one of the workers has."""
        dead = [name for name, program in self.programs.items() if program.poll() is not None]
        assert not dead, f"workers {dead} have ended"
        return self.run(flow_run).state.is_final()

    def tasks(self, flow_run: UUID) -> list[tuple[str, str]]:
        """Names and states of a flow run's task runs."""
        wanted = {"flow_runs": {"id": {"any_": [str(flow_run)]}}, "sort": "ID_DESC"}
        found: list[dict] = []
        page = None
        with self.settings():
            while page is None or len(page) == PAGE:
                asked = {**wanted, "limit": PAGE, "offset": len(found)}
                page = self.client.request("POST", "/task_runs/filter", json=asked).json()
                found += page
        return sorted((one["name"], one["state_name"]) for one in found)

    def artifacts(self, flow_run: UUID) -> list[str]:
        """Keys of a flow run's artifacts."""
        wanted = {"artifacts": {"flow_run_id": {"any_": [str(flow_run)]}}, "limit": 200}
        with self.settings():
            found = self.client.request("POST", "/artifacts/filter", json=wanted).json()
        return sorted(one["key"] for one in found)

    def texts(self) -> str:
        """All that the workers and their processes printed."""
        logs = [*self.folder.glob("worker-*.log"), *self.folder.rglob("logs/**/*.log")]
        return "\n".join(f"== {path}\n{path.read_text()[-6000:]}" for path in logs)

    def finished(self, run: str) -> End | None:
        store = open_store(self.hub.exchange, self.hub.exchange_environ())
        return sealed.read_if_there(store, keys.end(run), End, None)

    def recorded(self, run: str, number: int) -> bool:
        """Whether a round is done."""
        store = open_store(self.hub.exchange, self.hub.exchange_environ())
        return store.exists(keys.record(run, number))

    def record(self, run: str, number: int) -> Record:
        store = open_store(self.hub.exchange, self.hub.exchange_environ())
        return sealed.read(store, keys.record(run, number), Record, None)

    def agreement(self, run: str) -> Agreement:
        store = open_store(self.hub.exchange, self.hub.exchange_environ())
        return sealed.read(store, keys.agreement(run), Agreement, None)

    def processes(self, name: str) -> list[int]:
        """The flow processes of a worker."""
        found = []
        for place in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = place.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == self.programs[name].pid and fields[0] not in "ZX":
                found.append(int(place.parent.name))
        return found

    def bits(self, end: End) -> tuple[str, str]:
        """The digests of the best and the final model."""
        store = open_store(self.hub.exchange, self.hub.exchange_environ())
        best, final = (codec.decode(sealed.fetch(store, ref)) for ref in (end.best, end.final))
        return digest(best), digest(final)

    def task_path(self, task: TaskFile) -> str:
        path = self.folder / "task.yaml"
        path.write_text(task.to_yaml())
        return str(path)
