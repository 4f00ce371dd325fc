"""The machines of the deployed form: commands typed at a place, and one program for long."""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from command_story import tree
from network import Place
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun

from fedcore.config.policy import load_policy
from fedcore.config.task import TaskFile
from fedcore.exchange.opening import open_store
from fedcore.exchange.store import ObjectStore
from flows.hub import pools
from flows.hub.certificates import Authority
from flows.hub.home import Hub

BIN = Path(sys.executable).parent
FEDCORE, PREFECT = str(BIN / "fedcore"), str(BIN / "prefect")
PLAIN = ("PATH", "LANG", "TMPDIR", "VIRTUAL_ENV")
TRAINING = "federated-training/train"
START, COMMAND = 300.0, 180.0  # seconds that a start and a command may take here


class Failed(AssertionError):
    """A command did not do what it should; the message holds what it printed."""


@dataclass
class Station:
    """A machine with its own folder: runs commands there, and one program for long."""

    place: Place
    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    program: subprocess.Popen[bytes] | None = None

    @property
    def home(self) -> Path:
        """The home that the commands at this place work in."""
        return self.folder

    @property
    def log(self) -> Path:
        """What the long program printed, and its predecessors."""
        return self.folder / "program.log"

    def settings(self) -> dict[str, str]:
        """The whole environment of what runs here: nothing of the tests' own but the path."""
        machine = {name: os.environ[name] for name in PLAIN if name in os.environ}
        quiet = {"OMP_NUM_THREADS": "1", "DO_NOT_TRACK": "1", "HOME": str(self.folder)}
        return {**machine, **quiet, **self.environ}

    def run(self, *words: str, limit: float = COMMAND, **environ: str) -> str:
        """What a command prints; `Failed` when it ends with another code than 0."""
        done = subprocess.run(
            self.place.command(*words),
            cwd=self.folder,
            env={**self.settings(), **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=limit,
        )
        if done.returncode != 0:
            raise Failed(f"{' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def begin(self, *words: str) -> None:
        """Start the long program, as a service unit would."""
        with self.log.open("ab") as log:
            self.program = subprocess.Popen(
                self.place.command(*words),
                cwd=self.folder,
                env=self.settings(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill_program(self) -> None:
        """`kill -9` of the long program alone; what it started must notice by itself."""
        if self.program is not None:
            self.program.kill()
            self.program.wait(30)
            self.program = None

    def end(self) -> None:
        """End the long program and all that it started."""
        if self.program is not None:
            members = tree(self.program.pid)
            self.program.terminate()
            try:
                self.program.wait(20)
            except subprocess.TimeoutExpired:
                self.program.kill()
                self.program.wait(30)
            kill_all(members)
            self.program = None


class Hospital(Station):
    """A party's machine: home, worker, sessions."""

    @property
    def name(self) -> str:
        """The party's id."""
        return self.place.name

    @property
    def home(self) -> Path:
        """What `fedcore party join` made."""
        return self.folder / "hospital"

    def join(self, kit: Path, data: Path) -> None:
        """Join with a kit."""
        home, folder = str(self.home), str(data)
        self.run(FEDCORE, "party", "join", str(kit), "--home", home, "--data", folder)

    def write_policy(self, **settings: object) -> None:
        """Decide what may run here."""
        path = self.home / "policy.yaml"
        path.write_text(yaml.safe_dump(settings))
        load_policy(path)

    def edit_party_file(self, **coordinator: str) -> None:
        """Change fields of the section `coordinator`."""
        path = self.home / "party_config.json"
        content = json.loads(path.read_text())
        content["coordinator"].update(coordinator)
        path.write_text(json.dumps(content))

    def start(self) -> None:
        """Start the worker."""
        self.begin(FEDCORE, "party", "start", "--home", str(self.home))

    def pending(self) -> str:
        """What waits for a word here."""
        return self.run(FEDCORE, "party", "pending", "--home", str(self.home))

    def approve(self, run: str) -> str:
        """Give the word."""
        return self.run(FEDCORE, "party", "approve", run, "--home", str(self.home), "--yes")

    def sessions(self) -> list[int]:
        """The leading processes of the sessions that the worker runs."""
        return [] if self.program is None else children(self.program.pid)

    def outputs(self, run: str) -> Path:
        """Where the models of a run lie."""
        return self.home / "runs" / run / "output"

    def ledger(self, run: str) -> Path:
        """The party's ledger of a run."""
        return self.home / "runs" / run / "ledger" / f"party-{self.name}.jsonl"


class Coordinator(Station):
    """The hub's machine."""

    @property
    def home(self) -> Path:
        """The hub's folder."""
        return self.folder / "coordinator"

    def up(self, *, tls: bool) -> None:
        """Start all services, with a certificate of an authority of its own or by plain http."""
        where = ("--home", str(self.home), "--host", self.place.address)
        how = self._certificate() if tls else ["--allow-plain-http"]
        self.run(FEDCORE, "up", *where, *how, limit=START)

    def _certificate(self) -> list[str]:
        """Options of `fedcore up` that name a new certificate for this place."""
        now = datetime.datetime.now(datetime.UTC)
        authority = Authority.found("the tests", now)
        texts = (*authority.issue("hub", self.place.address, now), authority.pem)
        words = []
        for name, text in zip(("cert", "key", "ca"), texts, strict=True):
            path = self.folder / f"{name}.pem"
            path.write_text(text)
            words += [f"--{name}", str(path)]
        return words

    def down(self) -> None:
        """Stop all services."""
        if self.home.exists():
            self.run(FEDCORE, "down", "--home", str(self.home))

    def hub(self) -> Hub:
        """The hub as it is now."""
        return Hub.load(self.home)

    def invite(self, name: str) -> Path:
        """A kit for a hospital."""
        kit = self.folder / f"{name}.kit"
        home = ("--home", str(self.home))
        self.run(FEDCORE, "party", "invite", name, *home, "--out", str(kit))
        return kit

    def deploy(self) -> str:
        """Register all deployments, as the engineer does."""
        file = self.home / "deployments" / "prefect.yaml"
        words = (PREFECT, "--no-prompt", "deploy", "--prefect-file", str(file), "--all")
        return self.run(*words, **self.hub().prefect_environ())

    def begin_training(self, task: TaskFile, run: str, *parties: str) -> str:
        """Start a training through its deployment with `prefect deployment run`."""
        path = self.folder / f"{run}.yaml"
        path.write_text(task.to_yaml())
        chosen: dict[str, Any] = {"task_file": str(path), "run": run}
        if parties:
            chosen["parties"] = list(parties)
        words = (PREFECT, "deployment", "run", TRAINING, "--params", json.dumps(chosen))
        return self.run(*words, **self.hub().prefect_environ())

    def store(self) -> ObjectStore:
        """The exchange, with the coordinator's credentials."""
        hub = self.hub()
        return open_store(hub.exchange, hub.exchange_environ())

    @contextmanager
    def prefect(self) -> Iterator[SyncPrefectClient]:
        """Prefect's API, with the coordinator's credentials."""
        with pools.connected(self.hub().prefect_environ()) as api:
            yield api

    def flow_runs(self, run: str) -> dict[str, FlowRun]:
        """The training's flow runs by name, of each the newest: its own, and its sessions'."""
        with self.prefect() as api:
            found = sorted(api.read_flow_runs(limit=200), key=lambda one: str(one.created))
        return {one.name: one for one in found if one.name == run or one.name.startswith(f"{run} ")}

    def ledger(self, run: str) -> Path:
        """The coordinator's ledger of a run."""
        return self.home / "runs" / run / "ledger" / "coordinator.jsonl"


def children(pid: int) -> list[int]:
    """The processes that a process has started and that still live."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = place.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] not in "ZX":
            found.append(int(place.parent.name))
    return sorted(found)


def kill_all(pids: set[int]) -> None:
    """`kill -9` of processes, as far as they live."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
