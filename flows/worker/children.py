"""A flow run's process as the worker sees it: started, heard, told to stop, ended as a whole."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.process_group import end_group

STOP = "stop"


class Child:
    """Leads a process group of its own; dies with the worker, whose pipe it reads."""

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        folder: Path,
        log: Path,
        hear: Callable[[str], None],
    ) -> None:
        """Start `command` in `folder`; `hear` is told the name of each step that finishes."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as lines:
            self._process = subprocess.Popen(  # noqa: S603 (fixed by the worker's own code)
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=lines,
                encoding="utf-8",
                errors="replace",
                cwd=folder,
                env=dict(environ),
                start_new_session=True,
            )
        self._hear = hear
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id, which is also that of the group."""
        return self._process.pid

    def ended(self) -> int | None:
        """The exit code once it is dead, with all that it started; `None` while it lives."""
        code = self._process.poll()
        if code is not None:
            end_group(self._process)
        return code

    def ask_to_stop(self) -> None:
        """Ask it to end its waits and come to an end."""
        pipe = self._process.stdin
        with contextlib.suppress(OSError, ValueError):  # it is dead already
            if pipe is not None:
                pipe.write(f"{STOP}\n")
                pipe.flush()

    def kill(self) -> None:
        """End the whole group now."""
        end_group(self._process)
        self._process.wait()

    def _listen(self) -> None:
        for text in self._process.stdout or ():
            with contextlib.suppress(ValueError):
                told: Any = json.loads(text)
                if isinstance(told, dict) and isinstance(told.get("done"), str):
                    self._hear(told["done"])
