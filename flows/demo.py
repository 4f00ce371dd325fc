"""`fedcore demo`: three made-up hospitals on this machine, and the same training as for real ones.

Everything lies in one folder: hospitals of generated radiographs, the two files that people write,
a folder per training with its results, and MLflow's store. A training that was interrupted goes
on; one that has finished stays, and the next gets a folder and a run of its own.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fedcore.audit.durable import replace_with
from fedcore.config import TaskFile, load_party_file, load_task_file
from fedcore.config.federation import FederationSection
from flows.farewell import program
from flows.federated_train import train
from flows.launch import Order
from flows.supervisor import source_root

FINISHED = "finished"
TASK, PARTY = "federated_task.yaml", "party_config.json"
PATIENTS = 100
Say = Callable[[str], None]


@dataclass(frozen=True)
class Wish:
    """What the command line asks for; `rounds` None: as many as the demo's task file says."""

    folder: Path
    rounds: int | None = None
    seed: int = 0


def run(wish: Wish, say: Say, environ: Mapping[str, str]) -> None:
    """Prepare and train; the last lines say where everything lies and how to look at it."""
    order = prepare(wish, say, environ)
    train(order)
    replace_with(order.output / FINISHED, [])
    for text in look_further(order):
        say(text)


def prepare(wish: Wish, say: Say, environ: Mapping[str, str]) -> Order:
    """Write hospitals and files that are not there yet; the order for the training."""
    task = task_of(wish)
    output = next_output(wish.folder, task)
    for text in story(wish, task, output):
        say(text)
    hospitals = write_hospitals(wish.folder / f"hospitals-seed-{wish.seed}", wish.seed, say)
    output.mkdir(parents=True, exist_ok=True)
    path = output / TASK
    replace_with(path, [task.to_yaml().encode()])
    party = wish.folder / PARTY
    replace_with(party, [template("demo_party.json").read_bytes()])
    return Order(
        task=task,
        task_path=path,
        party_file=load_party_file(party),
        party_path=party,
        data=hospitals,
        output=output,
        run=f"{task.name}-{output.name}",
        tracking_uri=environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{wish.folder / 'mlflow.db'}"),
    )


def task_of(wish: Wish) -> TaskFile:
    """The demo's task file with the wished rounds and seed."""
    task = load_task_file(template("demo_task.yaml"))
    rounds = wish.rounds or task.federation.epochs
    federation: FederationSection = task.federation.model_copy(update={"epochs": rounds})
    return task.model_copy(update={"seed": wish.seed, "federation": federation})


def next_output(folder: Path, task: TaskFile) -> Path:
    """The last training's folder if it was interrupted and meant the same, else a new one."""
    numbers = sorted(
        int(path.name.removeprefix("training-"))
        for path in folder.glob("training-*")
        if path.name.removeprefix("training-").isdigit()
    )
    last = folder / f"training-{numbers[-1]}" if numbers else None
    if last is not None and _goes_on(last, task):
        return last
    return folder / f"training-{numbers[-1] + 1 if numbers else 1}"


def write_hospitals(folder: Path, seed: int, say: Say) -> Path:
    """Three hospitals of DICOM files under `folder`, unless they are there; the folder.

    It gets its name only when all of it is written.
    """
    if folder.is_dir():
        return folder
    # pydicom and its encoders take a while to import and are needed here alone.
    from fedcore.data.phantom_looks import LOOKS  # noqa: PLC0415
    from fedcore.data.phantoms import write_party  # noqa: PLC0415

    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    for number, (party, look) in enumerate(LOOKS.items(), start=1):
        files = write_party(part / party, look, PATIENTS, seed)
        scanner = f"{look.manufacturer} {look.model}, {look.bits} bits {look.photometric}"
        say(f"  hospital {number} of {len(LOOKS)}: party {party}, {files} DICOM files ({scanner})")
    part.rename(folder)
    return folder


def story(wish: Wish, task: TaskFile, output: Path) -> list[str]:
    """What is going to happen, in three lines."""
    federation, goes = task.federation, "goes on" if output.is_dir() else "begins"
    return [
        "Three hospitals of made-up chest radiographs learn together to see pneumonia; each has "
        "its own scanner,",
        "its own process and its own damaged and mislabelled files. Only signed updates pass "
        "between them, never an image.",
        f"{output.name} {goes} in {_shown(wish.folder)}: {task.model.name}, {federation.epochs} "
        "rounds, on this machine alone; a minute or two on a free machine.",
    ]


def look_further(order: Order) -> list[str]:
    """Commands for looking at what was quarantined, and at what left each hospital."""
    guest, task = order.data / order.party_file.guest.id, _shown(order.task_path)
    fedcore = program("fedcore")
    return [
        f"  quarantine {fedcore} data check {_shown(guest)} --config {task}",
        f"  ledgers    {fedcore} ledger verify --output {_shown(order.output)}",
    ]


def template(name: str) -> Path:
    """A file of configs/ in the source tree."""
    return source_root() / "configs" / name


def _goes_on(output: Path, task: TaskFile) -> bool:
    path = output / TASK
    if (output / FINISHED).exists() or not path.exists():
        return False
    return load_task_file(path).fingerprint() == task.fingerprint()


def _shown(path: Path) -> str:
    return shlex.quote(str(path))
