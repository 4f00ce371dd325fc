"""The process that trains a comparison's cells: `python -m flows.cell_process OUTPUT`.

Each line of standard input names a cell, or `data` for reading what all cells share. It tells what
happens as JSON lines on standard output, and `done` or `error` at the end of each. When standard
input closes, the parent is gone and the process ends at once.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from fedcore.comparison.plan import Comparison
from fedcore.comparison.workshop import Workshop
from fedcore.errors import FedcoreError
from fedcore.rounds.messages import Record
from flows.process_group import end_own_group
from flows.session_process import PARENT_GONE, ParentVoice, events_pipe

DATA = "data"


def main(output: str) -> None:
    """Do what is asked until standard input closes."""
    voice, asked = ParentVoice(events_pipe()), queue.SimpleQueue[str]()
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    workshop = Workshop(Path(output))
    comparison = Comparison.load(workshop.state)
    while True:
        try:
            _do(comparison, workshop, asked.get(), voice)
        except FedcoreError as error:
            voice.tell("error", message=str(error), exit_code=error.exit_code)
        else:
            voice.tell("done")


def _listen(asked: queue.SimpleQueue[str]) -> None:
    for text in sys.stdin:
        asked.put(text.strip())
    end_own_group(PARENT_GONE)


def _do(comparison: Comparison, workshop: Workshop, word: str, voice: ParentVoice) -> None:
    cell = None if word == DATA else comparison.cell(word)
    # Only now: torch takes seconds to import, and the parent is to be heard meanwhile.
    from fedcore.comparison.running import prepare, run_cell  # noqa: PLC0415
    from fedcore.data import decoding_workers  # noqa: PLC0415

    def hear(record: Record) -> None:
        voice.tell("round", round=record.round)

    def progress(party: str) -> Callable[[int, int], None]:
        return lambda done, total: voice.tell("reading", party=party, done=done, total=total)

    if cell is not None:
        run_cell(comparison, cell, workshop, hear)
        return
    workers = decoding_workers(os.cpu_count() or 1)
    for party, one in prepare(comparison, workshop, progress, workers).items():
        voice.tell("data", party=party, **one)


if __name__ == "__main__":
    main(sys.argv[1])
