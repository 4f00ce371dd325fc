"""The parent's side of a cell's process: start it, hear it, end it with all that it started."""

from __future__ import annotations

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
    """A cell's process ended without a result; the message is its own."""


def run(output: Path, word: str, log: Path, hear: Hear) -> None:
    """Run one cell, or `data`, to its end; `hear` is told each event; the rest goes to `log`.

    Raises `CellFailed` with the exit code of what went wrong.
    """
    process = _start(output, word, log)
    try:
        said = _listen(process, hear)
        code = process.wait()
    finally:
        end_group(process)
        process.wait()
    if code:
        raise _failure(word, code, said, log)


def _start(output: Path, word: str, log: Path) -> subprocess.Popen[str]:
    with written(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        sink = log.open("a", encoding="utf-8")
    with sink:
        return subprocess.Popen(  # noqa: S603 (this very Python)
            [sys.executable, "-m", "flows.cell_process", str(output.resolve()), word],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sink,
            encoding="utf-8",
            errors="replace",
            cwd=source_root(),
            start_new_session=True,
        )


def _listen(process: subprocess.Popen[str], hear: Hear) -> dict[str, Any]:
    """Pass events on until the pipe ends; the `error` event, or nothing."""
    said: dict[str, Any] = {}
    for text in process.stdout or ():
        event = event_of(text)
        if event is not None and event["event"] == "error":
            said = event
        elif event is not None:
            hear(event)
    return said


def _failure(word: str, code: int, said: dict[str, Any], log: Path) -> CellFailed:
    message = said.get("message") or f"its process died with code {code}: see {log}"
    failed = CellFailed(printable(f"{word}: {message}"))
    told = said.get("exit_code")
    failed.exit_code = told if isinstance(told, int) else CellFailed.exit_code
    return failed
