"""The real command in real processes: started, watched, killed, started again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import yaml

from fedcore.config.task import TaskFile
from fedcore.exchange import codec
from fedcore.params import digest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "flows" / "federated_train.py"
PATIENCE = 240.0


@dataclass
class Site:
    """One party's machine: its files, its output, its environment, and its process."""

    folder: Path
    arguments: list[str]
    environ: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    program: ClassVar[tuple[str, ...]] = (sys.executable, str(SCRIPT))

    @property
    def output(self) -> Path:
        return self.folder / "out"

    @property
    def printed(self) -> str:
        return (self.folder / "printed.txt").read_text()

    def start(self) -> None:
        """Start the command, or start it again."""
        with (self.folder / "printed.txt").open("a") as printed:
            self.process = subprocess.Popen(
                [*self.program, *self.arguments, "--output", str(self.output)],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=self.folder,
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": "1",
                    "PYTHONPATH": str(ROOT),
                    **own_state(self.folder),
                    **self.environ,
                },
                start_new_session=True,
            )

    def wait(self, limit: float = PATIENCE) -> int:
        """The exit code of the command."""
        assert self.process is not None
        return self.process.wait(limit)

    def kill(self) -> None:
        """`kill -9` of the command's own process; its children must notice by themselves."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def end(self) -> None:
        """End what is left of the command after a test."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def run(self) -> int:
        """Start and wait; a command that does not end in time is ended."""
        self.start()
        try:
            return self.wait()
        finally:
            self.end()

    def bits(self) -> tuple[str, str]:
        """The digests of the best and the final model in the output folder."""
        names = ("best", "final")
        bodies = [(self.output / f"{name}.safetensors").read_bytes() for name in names]
        return digest(codec.decode(bodies[0])), digest(codec.decode(bodies[1]))


def own_state(folder: Path) -> dict[str, str]:
    """Settings that keep a site's Prefect and MLflow inside its folder."""
    return {
        "PREFECT_HOME": str(folder / "prefect"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
    }


def write_files(folder: Path, task: TaskFile, party_file: Mapping[str, object]) -> list[str]:
    """The two files in `folder`, and the arguments that name them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "task.yaml").write_text(yaml.safe_dump(task.model_dump(mode="json")))
    (folder / "party.json").write_text(json.dumps(party_file))
    config = ["--config", str(folder / "task.yaml")]
    return [*config, "--party_config", str(folder / "party.json")]


def two_sites(
    folder: Path, task: TaskFile, data: Mapping[str, Path], address: str, **environ: str
) -> tuple[Site, Site]:
    """A guest and a host with their own files, who meet at `address`."""
    guest = {"role": "guest", "party_id": "1"}
    host = {"role": "host", "party_id": "2"}
    sites = []
    for name, local, remote in (("guest", guest, host), ("host", host, guest)):
        party_file = {"local": local, "remote": {**remote, "address": address}}
        arguments = write_files(folder / name, task, party_file)
        arguments += ["--data", str(data[local["party_id"]]), "--reconnect_interval", "0.3"]
        sites.append(Site(folder / name, arguments, environ))
    return sites[0], sites[1]


def until(
    holds: Callable[[], bool], what: str, limit: float = PATIENCE, pause: float = 0.01
) -> None:
    """Look again and again until something holds; fail after `limit` seconds."""
    end = time.monotonic() + limit
    while not holds():
        assert time.monotonic() < end, f"waited {limit:.0f} s for {what}"
        time.sleep(pause)


def listening(pids: set[int]) -> set[tuple[str, int]]:
    """The addresses on which processes listen for TCP connections."""
    inodes = {inode for pid in pids for inode in _sockets(pid)}
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for text in Path(table).read_text().splitlines()[1:]:
            words = text.split()
            if words[3] == "0A" and words[9] in inodes:
                address, port = words[1].split(":")
                found.add((address, int(port, 16)))
    return found


def tree(pid: int) -> set[int]:
    """A process and all its descendants."""
    parents = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(place.parent.name)] = int(place.read_text().rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    members = {pid}
    while more := {child for child, parent in parents.items() if parent in members} - members:
        members |= more
    return members


def _sockets(pid: int) -> Iterator[str]:
    for place in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            target = str(place.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            yield target[8:-1]


def fresh(folder: Path) -> Path:
    """An empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
