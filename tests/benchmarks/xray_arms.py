"""The ways to train on the hospitals' radiographs: each alone, pooled in one place, federated.

All get the same network, optimiser, splits and passes over each image. Alone and pooled are
federations of a single party, so even Adam's fresh start in every round is the same.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors.numpy import save_file
from xray_hospitals import A, B, C

from fedcore.baselines import train_alone
from fedcore.config import TaskFile, load_task_file
from fedcore.data import Cohort, open_cohort
from fedcore.data.joined import joined
from fedcore.exchange.folder import FolderStore
from fedcore.simulation import World

ROOT = Path(__file__).resolve().parents[2]
AMBIENT = ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE", "MLFLOW_TRACKING_URI")
COMMAND = (
    "python flows/federated_train.py --config federated_task.yaml --data ./hospitals "
    "--output ./{output} --party_config {party_file}"
)
# The published task file; only name, input_size and epochs are filled in.
TASK = """\
task_type: classification
name: real-xrays
model: {{name: resnet18, input_size: [3, {size}, {size}], num_classes: 2}}
federation: {{strategy: fedavg, epochs: {rounds}, batch_size: 32, lr: 0.001}}
"""
# The published party file, and the same with a second host.
TWO = """\
{"local": {"role": "guest", "party_id": 9999},
 "remote": {"role": "host", "party_id": 10000, "address": "IP:PORT"}}
"""
THREE = """\
{"local": {"role": "guest", "party_id": 9999},
 "remote": [{"role": "host", "party_id": 10000, "address": "IP:PORT"},
            {"role": "host", "party_id": 10001, "address": "IP:PORT"}]}
"""


@dataclass(frozen=True)
class Arm:
    """A way to train: on whose training images, and federated or in one process."""

    name: str
    parties: tuple[str, ...]
    federated: bool = False

    @property
    def folder(self) -> str:
        """A name for files."""
        return re.sub(r"\W+", "-", self.name.lower())


ARMS = (
    Arm("pooled A, B, C", (A, B, C)),
    Arm("pooled A, B", (A, B)),
    Arm("local A", (A,)),
    Arm("local B", (B,)),
    Arm("local C", (C,)),
    Arm("federated A, B", (A, B), federated=True),
    Arm("federated A, B, C", (A, B, C), federated=True),
)


@dataclass(frozen=True)
class Trained:
    """What came of an arm: its best model's file, that model's round, wall time, last line."""

    weights: str
    best_round: int
    seconds: float
    said: str = ""


def cohort_of(work: Path, party: str) -> Cohort:
    """A hospital's cohort; decoded and preprocessed on the first call only."""
    task = load_task_file(work / "federated_task.yaml")
    return open_cohort(work / "hospitals" / party, task, work / "cache" / party)


def prepare(work: Path, size: int, rounds: int, seed: int) -> TaskFile:
    """Write the task file (with a line `seed:` unless it is 0) and the two party files."""
    text = TASK.format(size=size, rounds=rounds) + (f"seed: {seed}\n" if seed else "")
    (work / "federated_task.yaml").write_text(text, encoding="utf-8")
    (work / "two_parties.json").write_text(TWO, encoding="utf-8")
    (work / "three_parties.json").write_text(THREE, encoding="utf-8")
    return load_task_file(work / "federated_task.yaml")


def train(work: Path, arm: Arm) -> Trained:
    """Train an arm, unless an interrupted run of this script has done so already."""
    note = work / arm.folder / "done.json"
    if not note.exists():
        (work / arm.folder).mkdir(exist_ok=True)
        done = _command(work, arm) if arm.federated else _in_one_process(work, arm)
        # Every round's models and updates: gigabytes that nobody asks for any more.
        for name in (".fedcore", "exchange", "spool"):
            shutil.rmtree(work / arm.folder / name, ignore_errors=True)
        note.write_text(json.dumps(asdict(done)), encoding="utf-8")
    return Trained(**json.loads(note.read_text(encoding="utf-8")))


def _in_one_process(work: Path, arm: Arm) -> Trained:
    task = load_task_file(work / "federated_task.yaml")
    name = "-".join(arm.parties)
    cohort = joined({party: cohort_of(work, party) for party in arm.parties})
    store = FolderStore(work / arm.folder / "exchange")
    store.prepare()
    begun = time.monotonic()
    outcome = train_alone(task, name, cohort, World(work / arm.folder, store))
    seconds = time.monotonic() - begun
    weights = work / arm.folder / "best.safetensors"
    save_file(dict(outcome.best), weights)
    return Trained(str(weights), outcome.end.best_round, seconds)


def _command(work: Path, arm: Arm) -> Trained:
    """Run the project's command as a person would, in the folder that holds the files."""
    words = command_of(arm).split()
    words[:2] = [sys.executable, str(ROOT / words[1])]
    begun = time.monotonic()
    ended = subprocess.run(
        words, cwd=work, env=_plain(os.environ), capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - begun
    if ended.returncode:
        raise RuntimeError(f"{' '.join(words)}\n{ended.stdout}\n{ended.stderr}")
    said = next(line for line in ended.stdout.splitlines() if line.startswith("Trained "))
    best = re.search(r"best after round (\d+)", said)
    weights = work / arm.folder / "best.safetensors"
    return Trained(str(weights), int(best[1]) if best else 0, seconds, said)


def command_of(arm: Arm) -> str:
    """The command line of a federated arm."""
    party_file = "two_parties.json" if len(arm.parties) == 2 else "three_parties.json"
    return COMMAND.format(output=arm.folder, party_file=party_file)


def _plain(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name not in AMBIENT}
