"""What the tests of the command line share: the command itself, and a run with ledgers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from fedcore.config import Address, TaskFile
from fedcore.rounds.messages import Member
from tasks.seat import COORDINATOR, Seat

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    (),
    ("train",),
    ("compare",),
    ("demo",),
    ("doctor",),
    ("data",),
    ("data", "check"),
    ("ledger",),
    ("ledger", "verify"),
    ("ledger", "show"),
    ("ledger", "export"),
    ("party", "pending"),
    ("party", "approve"),
)
OWNERS = (COORDINATOR, "9999", "10000")


@dataclass(frozen=True)
class Said:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


def fedcore(*arguments: object, cwd: Path | None = None, **environ: str) -> Said:
    """Type `fedcore ...` in `cwd`."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", *map(str, arguments)],
        cwd=cwd or ROOT,
        env=os.environ | {"PYTHONPATH": paths} | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def one_sentence(said: Said) -> str:
    """What stands on standard error, which must be one line and no traceback."""
    assert "Traceback" not in said.out + said.err
    lines = said.err.strip().splitlines()
    assert len(lines) == 1, said.err
    return lines[0]


def task_file() -> TaskFile:
    content = {"task_type": "classification", "model": {}, "federation": {}}
    return TaskFile.model_validate(content)


def seat(output: Path, run: str, owner: str) -> Seat:
    members = (Member(party_id="9999", role="guest"), Member(party_id="10000", role="host"))
    state = output / ".fedcore"
    return Seat(
        run=run,
        owner=owner,
        task=task_file(),
        members=members,
        exchange=Address("folder", str(state / "exchange")),
        state=str(state),
    )


def write_run(output: Path, run: str, rounds: int = 4) -> Path:
    """A run's ledgers and keys as seats leave them, and the heads of the guest's; ledger folder."""
    heads = {}
    for owner in OWNERS:
        place = seat(output, run, owner)
        place.save()
        ledger = place.ledger()
        ledger.append("training_opened", {"run": run})
        for number in range(1, rounds + 1):
            ledger.append("update_sent", {"round": number, "update": f"{number:064x}"})
        heads[place.name] = vars(ledger.head())
    guest = {"party-9999": heads["party-9999"]}
    (output / "ledger-heads.json").write_text(json.dumps(guest))
    artifacts = output / ".fedcore" / "runs" / run / "coordinator" / "artifacts"
    artifacts.mkdir(parents=True)
    (artifacts / "ledger-head.json").write_text(json.dumps(heads["coordinator"]))
    return output / ".fedcore" / "runs" / run / "ledger"
