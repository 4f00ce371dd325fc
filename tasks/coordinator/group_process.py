"""The process that adds up one group: `python -m tasks.coordinator.group_process SEAT N GROUP`.

Standard input holds, as one line of JSON, who of the group has replied, and the parties' public
keys; when it closes, the parent is gone and the process ends at once. All else is read from the
exchange and written into it, so a process that was killed leaves nothing behind that matters. It
loads neither Prefect nor torch, touches no ledger and acts in no term of its own.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
from pathlib import Path

import fedcore
from fedcore.audit.ledger import Ledger
from fedcore.rounds import coordinator
from tasks.seat import Seat
from tasks.voices import Voice

PARENT_GONE = 75


def main(seat: str, number: int, group: int) -> None:
    """Add the group up, unless its sum stands."""
    told = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="group-") as folder:
        desk = _desk(Seat.load(seat), told["keys"], Path(folder))
        coordinator.sum_group(desk, number, group, told["answers"])


def _desk(place: Seat, keys: dict[str, str], folder: Path) -> coordinator.Desk:
    """The coordinator's desk, less its ledger: what would be noted there the coordinator notes."""
    watch = Voice().watch()
    key = place.key()
    return coordinator.Desk(
        run=place.run,
        task=place.task,
        members=place.members,
        store=place.store(watch),
        key=key,
        ledger=Ledger(folder / "ledger.jsonl", key, lambda: 0.0),
        watch=watch,
        code_version=fedcore.__version__,
        pinned=keys,
    )


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(PARENT_GONE)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
