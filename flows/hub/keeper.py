"""The keeper: starts the hub's services and keeps them running; `python -m flows.hub.keeper HOME`.

A service that dies is started again, after growing pauses. One that outlived a killed keeper is
adopted as it is, unless it was started in another way than it would be now.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from fedcore.errors import FedcoreError, InputError
from flows.cli_screen import printable
from flows.hub.home import Hub
from flows.hub.processes import Note, Started, boot_id, clean
from flows.hub.service import Service
from flows.hub.services import services

TICK = 0.25
PAUSE, LONGEST_PAUSE = 0.5, 60.0
STEADY_SECONDS = 60.0  # who lived that long died of something new
LONGEST_LOG = 20 << 20
PRIVATE = 0o077  # files and sockets of the services are their owner's alone
GONE = -1  # the start of a process that ended before it could be looked at
OTHERS = ("AWS_", "PREFECT_", "MLFLOW_", "FEDCORE_DATABASE", "WEED_")
Say = Callable[[str], None]


class Kept:
    """One service in the keeper's hands."""

    def __init__(self, hub: Hub, service: Service, environ: Mapping[str, str], say: Say) -> None:
        """Adopt what runs already."""
        self.service, self._environ, self._say = service, environ, say
        self._log = hub.home / "logs" / f"{service.name}.log"
        self._path = note_path(hub, service.name)
        self._child: subprocess.Popen[bytes] | None = None
        self._due = self._began = time.monotonic()
        self._in_a_row = 0
        self._ready = False
        self.note = self._adopted(Note.read(self._path))

    @property
    def ready(self) -> bool:
        """Whether it runs and has answered since it was started."""
        process = self.note.process
        if process is None or not process.alive:
            return False
        self._ready = self._ready or self.service.probe(f"{process.boot}-{process.ticks}")
        return self._ready

    def look(self, begun: Callable[[str], bool]) -> None:
        """See that it runs; `begun` says whether a service that it needs answers."""
        if self._child is not None:
            self._child.poll()
        process = self.note.process
        if process is not None and process.alive:
            return
        if process is not None:
            self._bury(process)
        elif time.monotonic() >= self._due and all(begun(name) for name in self.service.after):
            self._start()

    def end(self) -> None:
        """End it, by force if it takes its time."""
        if self.note.process is not None:
            self.note.process.end(self.service.grace)
            if self._child is not None:
                self._child.wait()
            self.service.tidy()
            self._keep(None)

    def _adopted(self, note: Note) -> Note:
        process = note.process
        if process is None or not process.left:
            return Note(deaths=note.deaths, since=note.since)
        if process.alive and note.plan == self.service.plan:
            self._say(f"{self.service.name}: runs already, adopted (pid {process.pid})")
            return note
        process.end(self.service.grace)
        return Note(deaths=note.deaths, since=time.time())

    def _bury(self, process: Started) -> None:
        """After a death: end what it left behind, and let a while pass."""
        process.end(self.service.grace)
        if self._child is not None:
            self._child.wait()
            self._child = None
        lived = time.monotonic() - self._began
        self._in_a_row = 1 if lived > STEADY_SECONDS else self._in_a_row + 1
        pause = min(PAUSE * 2 ** (self._in_a_row - 1), LONGEST_PAUSE)
        self._due = time.monotonic() + pause
        self._ready = False
        self._keep(None, self.note.deaths + 1)
        self._say(f"{self.service.name}: died, started again in {pause:g} s: see {self._log}")

    def _start(self) -> None:
        self._began = time.monotonic()
        try:
            self.service.prepare()
            with self._opened_log() as log:
                self._child = subprocess.Popen(
                    self.service.command,
                    cwd=self.service.cwd,
                    env={**clean(self._environ, OTHERS), **self.service.environ},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    umask=PRIVATE,
                )
        except (FedcoreError, OSError) as unable:
            self._in_a_row += 1
            self._due = time.monotonic() + min(PAUSE * 2**self._in_a_row, LONGEST_PAUSE)
            self._keep(None, self.note.deaths + 1)
            self._say(f"{self.service.name}: cannot be started: {unable}")
            return
        self._keep(Started.of(self._child.pid) or Started(self._child.pid, GONE, boot_id()))

    def _opened_log(self) -> IO[bytes]:
        if self._log.exists() and self._log.stat().st_size > LONGEST_LOG:
            self._log.replace(self._log.with_suffix(".log.1"))
        return os.fdopen(os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb")

    def _keep(self, process: Started | None, deaths: int | None = None) -> None:
        count = self.note.deaths if deaths is None else deaths
        self.note = Note(process, self.service.plan, time.time(), count)
        self.note.write(self._path)


class Keeper:
    """All services of a hub."""

    def __init__(
        self, hub: Hub, table: Sequence[Service], environ: Mapping[str, str], say: Say
    ) -> None:
        """Adopt what runs; nothing is started yet."""
        self._say = say
        self._kept = {one.name: Kept(hub, one, environ, say) for one in table}

    def run(self, stopped: threading.Event) -> None:
        """Keep everything running until `stopped`, then end it."""
        while not stopped.is_set():
            self.look()
            stopped.wait(TICK)
        self.end()

    def look(self) -> None:
        """See once that everything runs."""
        for kept in self._kept.values():
            self._look(kept)

    def _look(self, kept: Kept) -> None:
        try:
            kept.look(lambda name: self._kept[name].ready)
        except FedcoreError as unable:  # a full disk must not take the keeper along
            self._say(f"{kept.service.name}: {unable}")

    def end(self) -> None:
        """End all: asked together, waited for in turn."""
        for kept in reversed(self._kept.values()):
            if kept.note.process is not None:
                kept.note.process.tell(signal.SIGTERM)
        for kept in reversed(self._kept.values()):
            kept.end()
        self._say("all services have ended")


def keep(hub: Hub, environ: Mapping[str, str], say: Say) -> None:
    """Be the hub's keeper until SIGTERM or SIGINT; `InputError` if another is."""
    stopped = threading.Event()
    with only_keeper(hub):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        Note(Started.of(os.getpid()), since=time.time()).write(note_path(hub, "keeper"))
        say(f"keeper of {hub.home} begins (pid {os.getpid()})")
        Keeper(hub, services(hub), environ, say).run(stopped)
        note_path(hub, "keeper").unlink(missing_ok=True)


@contextlib.contextmanager
def only_keeper(hub: Hub) -> Iterator[None]:
    """Hold the hub for this process alone; the system lets go of it however the process ends."""
    path = hub.home / "run" / "keeper.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        remedy = "run fedcore down first, or leave it as it is"
        raise InputError(f"{hub.home}: this hub has a keeper already: {remedy}") from None
    try:
        yield
    finally:
        os.close(descriptor)


def note_path(hub: Hub, name: str) -> Path:
    """Where the pid of a service, or of the `keeper`, is kept."""
    return hub.home / "run" / f"{name}.json"


def say(sentence: str) -> None:
    """A line with the time, for the keeper's log."""
    now = datetime.datetime.now(datetime.UTC)
    sys.stdout.write(f"{now:%Y-%m-%d %H:%M:%S} {printable(sentence)}\n")
    sys.stdout.flush()


def main() -> int:
    """Keep the hub in the folder that the command line names."""
    try:
        keep(Hub.load(Path(sys.argv[1])), os.environ, say)
    except FedcoreError as error:
        say(str(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
