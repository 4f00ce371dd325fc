"""A cell of a comparison as a process of its own: `python -m flows.cell_process OUTPUT CELL`.

With `data` in place of a cell it reads and preprocesses the data that all cells share. It tells
what happens as JSON lines on standard output. When standard input closes, the parent is gone and
the process ends at once.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from fedcore.comparison.plan import Comparison
from fedcore.comparison.workshop import Workshop
from fedcore.errors import FedcoreError
from fedcore.rounds.messages import Record
from flows.session_process import ParentVoice, end_with_parent, events_pipe

DATA = "data"


def main(output: str, word: str) -> int:
    """Do the work: 0 at the end, otherwise an `error` event and the error's exit code."""
    voice = ParentVoice(events_pipe())
    threading.Thread(target=end_with_parent, daemon=True).start()
    workshop = Workshop(Path(output))
    comparison = Comparison.load(workshop.state)
    try:
        if word == DATA:
            _prepare(comparison, workshop, voice)
        else:
            _train(comparison, workshop, word, voice)
    except FedcoreError as error:
        voice.tell("error", message=str(error), exit_code=error.exit_code)
        return error.exit_code
    return 0


def _prepare(comparison: Comparison, workshop: Workshop, voice: ParentVoice) -> None:
    # Only now: torch takes seconds to import, and a cell's parent is told first what is wrong.
    from fedcore.comparison.running import prepare  # noqa: PLC0415

    def progress(party: str) -> Callable[[int, int], None]:
        return lambda done, total: voice.tell("reading", party=party, done=done, total=total)

    workers = max(1, (os.cpu_count() or 2) // 2)
    for party, one in prepare(comparison, workshop, progress, workers).items():
        voice.tell("data", party=party, **one)


def _train(comparison: Comparison, workshop: Workshop, name: str, voice: ParentVoice) -> None:
    from fedcore.comparison.running import run_cell  # noqa: PLC0415

    def hear(record: Record) -> None:
        voice.tell("round", round=record.round)

    run_cell(comparison, comparison.cell(name), workshop, hear)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
