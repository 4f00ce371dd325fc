"""Processes that outlive who started them: known by pid and start time, ended as a whole.

A pid alone may be another process's by now. With the time of its start and the boot it belongs to,
it is the one that was meant. Each leads a session of its own; what it started is ended with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from flows.hub.private_files import read_json, write_json

PROC = Path("/proc")
LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Started:
    """A process that leads a group: its pid, its start in ticks since boot, and the boot."""

    pid: int
    ticks: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The process of that pid as it is now; `None` when it is no more."""
        ticks = _ticks(pid)
        return None if ticks is None else cls(pid, ticks, boot_id())

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return self.boot == boot_id() and _ticks(self.pid) == self.ticks

    @property
    def left(self) -> bool:
        """Whether anything of its group still runs."""
        return self._ours and any(_members(self.pid))

    def tell(self, number: signal.Signals) -> None:
        """Signal what is left of the group."""
        if self._ours:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def end(self, grace: float) -> None:
        """End the group: asked first, by force after `grace` seconds."""
        self.tell(signal.SIGTERM)
        if not self.wait(grace):
            self.tell(signal.SIGKILL)
            self.wait(grace)

    def wait(self, seconds: float) -> bool:
        """Whether the group was gone within so many seconds."""
        limit = time.monotonic() + seconds
        while self.left:
            if time.monotonic() > limit:
                return False
            time.sleep(LOOK_SECONDS)
        return True

    @property
    def _ours(self) -> bool:
        """No other process has taken the pid: while a group has members, its pid stays taken."""
        return self.boot == boot_id() and _ticks(self.pid) in (self.ticks, None)


@dataclass(frozen=True)
class Note:
    """What `run/NAME.json` holds of a service."""

    process: Started | None = None
    plan: str = ""
    since: float = 0.0
    deaths: int = 0

    @classmethod
    def read(cls, path: Path) -> Self:
        """The note at `path`; an empty one where there is none."""
        if not path.exists():
            return cls()
        held: dict[str, Any] = read_json(path, "remove the file and run fedcore up")
        process = held.pop("process")
        return cls(Started(**process) if process else None, **held)

    def write(self, path: Path) -> None:
        """Keep it."""
        write_json(path, asdict(self))


def boot_id() -> str:
    """Which boot of the machine this is."""
    return (PROC / "sys" / "kernel" / "random" / "boot_id").read_text().strip()


def clean(environ: Mapping[str, str], prefixes: tuple[str, ...]) -> dict[str, str]:
    """The environment without the variables that begin so: they were meant for others."""
    return {name: value for name, value in environ.items() if not name.startswith(prefixes)}


def _ticks(pid: int) -> int | None:
    """When the process started; `None` for one that is gone or only waits to be reaped."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name, which may hold anything."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _members(group: int) -> Iterator[int]:
    """The living processes of a group."""
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            fields = _stat(int(folder.name))
            if fields and fields[0] not in "ZX" and int(fields[2]) == group:
                yield int(folder.name)
