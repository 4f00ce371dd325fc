"""The parent's side of the process that trains: give it cell after cell, hear it, end it.

One process serves all cells, since importing torch takes longer than a small training. When it
dies, the cell that it had fails and the next one gets a new process.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedcore.audit.durable import written
from fedcore.errors import FedcoreError
from flows.cli_screen import printable
from flows.process_group import end_group
from flows.supervisor import event_of, source_root

Hear = Callable[[dict[str, Any]], None]


class CellFailed(FedcoreError):
    """A cell ended without a result; the message is its own."""


class Trainer:
    """The process for the comparison in the `output` folder; started when it is needed."""

    def __init__(self, output: Path, log: Path) -> None:
        """Nothing starts yet; what the process prints goes to `log`."""
        self._output, self._log = output, log
        self._process: subprocess.Popen[str] | None = None

    def do(self, word: str, hear: Hear) -> None:
        """Let it train a cell, or read the `data`; `hear` is told each event.

        Raises `CellFailed` with the exit code of what went wrong.
        """
        process = self._process or self._start()
        with contextlib.suppress(BrokenPipeError):  # it has died: its output ends, too
            _write(process, word)
        for text in process.stdout or ():
            event = event_of(text)
            if event is None:
                continue
            if event["event"] == "done":
                return
            if event["event"] == "error":
                raise _failure(word, str(event.get("message")), event.get("exit_code"))
            hear(event)
        code = process.wait()
        self.stop()
        raise _failure(word, f"its process died with code {code}: see {self._log}", None)

    def stop(self) -> None:
        """End the process with all that it started; what it was doing is done again."""
        if self._process is not None:
            end_group(self._process)
            self._process.wait()
            self._process = None

    def _start(self) -> subprocess.Popen[str]:
        with written(self._log):
            self._log.parent.mkdir(parents=True, exist_ok=True)
            sink = self._log.open("a", encoding="utf-8")
        with sink:
            self._process = subprocess.Popen(  # noqa: S603 (this very Python)
                [sys.executable, "-m", "flows.cell_process", str(self._output.resolve())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sink,
                encoding="utf-8",
                errors="replace",
                cwd=source_root(),
                start_new_session=True,
            )
        return self._process


def _write(process: subprocess.Popen[str], word: str) -> None:
    if process.stdin is not None:
        process.stdin.write(f"{word}\n")
        process.stdin.flush()


def _failure(word: str, message: str, code: object) -> CellFailed:
    failed = CellFailed(printable(f"{word}: {message}"))
    failed.exit_code = code if isinstance(code, int) else CellFailed.exit_code
    return failed


_TRAINERS: dict[str, Trainer] = {}


def trainer_of(output: str, log: Path) -> Trainer:
    """The trainer of that folder in this process."""
    return _TRAINERS.setdefault(output, Trainer(Path(output), log))


def stop(output: str) -> None:
    """End the trainer of that folder, if there is one."""
    trainer = _TRAINERS.pop(output, None)
    if trainer is not None:
        trainer.stop()
