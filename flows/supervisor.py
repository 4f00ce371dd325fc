"""The processes of one command: Prefect's server if none is there, and a session per local party.

Everything started here ends with this process, however it ends: each child watches the pipe to
its standard input. A session that dies unasked is started again; one that says why it cannot go
on ends the command.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from fedcore.errors import FedcoreError, InputError
from flows.cli_screen import printable
from flows.prefect_api import check_api
from flows.process_group import end_group
from tasks.seat import Seat

RESTARTS = 3
LAST_WORDS_SECONDS = 5.0
Hear = Callable[[str, dict[str, Any]], None]


class SessionFailed(InputError):
    """A local party cannot go on; the message is the party's own."""


class Session:
    """One party's session process, the thread that listens to it, the one that waits for its end.

    The two are apart because a dead session's pipe may stay open, and a live one's may break.
    """

    def __init__(self, seat: Seat, path: str, hear: Hear) -> None:
        """Start at once; `hear(party, event)` is called for every event."""
        self.seat, self._path, self._hear = seat, path, hear
        self._log = seat.folder / "runs" / seat.run / f"{seat.name}.log"
        self._url: str | None = None
        self._restarts, self._stopped = 0, False
        self._guard = threading.Lock()
        self.error: SessionFailed | None = None
        self.ended = threading.Event()
        self._process = self._start()

    def tell_url(self, url: str) -> None:
        """Let the session begin, with Prefect's API at `url`."""
        self._url = url
        self._write_url()

    def stop(self) -> None:
        """End the session with its workers; what it was doing is repeated by the next one."""
        with self._guard:
            self._stopped = True
            if self._process.poll() is None:
                end_group(self._process)
            self._process.wait()

    def _start(self) -> subprocess.Popen[str]:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("a", encoding="utf-8") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "flows.session_process", self._path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
                errors="replace",
                cwd=source_root(),
                start_new_session=True,
            )
        threading.Thread(target=self._attend, args=(process,), daemon=True).start()
        return process

    def _write_url(self) -> None:
        pipe = self._process.stdin
        if pipe is None or self._url is None:
            return
        try:
            pipe.write(f"{self._url}\n")
            pipe.flush()
        except BrokenPipeError:
            return  # it is dead already; that is dealt with where its end is waited for

    def _attend(self, process: subprocess.Popen[str]) -> None:
        """Listen to a session until it is dead, then see what is to be done."""
        listener = threading.Thread(target=self._listen, args=(process,), daemon=True)
        listener.start()
        code = process.wait()
        end_group(process)  # its workers
        listener.join(LAST_WORDS_SECONDS)
        try:
            self._settle(code)
        finally:
            if process is self._process:  # not started again: nobody may wait for it any longer
                self.ended.set()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        to_the_end = False
        try:
            for text in _lines(process.stdout):
                event = event_of(text)
                if event is not None:
                    self._take_in(event)
            to_the_end = True
        finally:
            if not to_the_end and process.poll() is None:
                end_group(process)  # unheard, it would block once its pipe is full

    def _take_in(self, event: dict[str, Any]) -> None:
        if event["event"] == "error":
            self.error = SessionFailed(printable(str(event.get("message"))))
            code = event.get("exit_code")
            self.error.exit_code = code if isinstance(code, int) else InputError.exit_code
        try:
            self._hear(self.seat.owner, event)
        except (AttributeError, LookupError, OSError, TypeError, ValueError) as odd:
            # What cannot be shown must not end a training.
            self._note(f"a {event['event']!r} event could not be shown: {odd!r}")

    def _note(self, sentence: str) -> None:
        with contextlib.suppress(OSError), self._log.open("a", encoding="utf-8") as log:
            log.write(f"{printable(sentence)}\n")

    def _settle(self, code: int) -> None:
        """After a session's end: done, failed, or to be started again."""
        if code == 0 or self.error is not None or self._stopped:
            return
        name = self.seat.member(self.seat.owner).label
        if self._restarts < RESTARTS:
            self._take_in({"event": "say", "message": f"{name} died, started again"})
            self._start_again(name)
        else:
            self.error = SessionFailed(
                f"{name}: its session died with code {code}: see {self._log}"
            )

    def _start_again(self, name: str) -> None:
        with self._guard:
            if self._stopped:
                return
            self._restarts += 1
            try:
                self._process = self._start()
            except OSError as broken:
                self.error = SessionFailed(f"{name} died and cannot be started again: {broken}")
                return
        self._write_url()


def event_of(text: str) -> dict[str, Any] | None:
    """A session's line as an event; `None` for a torn line or one that a library printed."""
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        return None
    known = isinstance(event, dict) and isinstance(event.get("event"), str)
    return event if known else None


@dataclass(frozen=True)
class Api:
    """Prefect's API; `home` holds the database of a temporary server, `None` if configured."""

    url: str
    home: str | None


def _configured(url: str) -> Api:
    check_api(url)
    return Api(url, None)


class Prefect:
    """Prefect's API for this command: the configured one, or a temporary server."""

    def __init__(self, home: Path) -> None:
        """Start asking for it; `api()` waits for the answer."""
        self._log = home / "server.log"
        self._url = os.environ.get("PREFECT_API_URL")
        self._process = None if self._url else self._start(home)

    def _start(self, home: Path) -> subprocess.Popen[str]:
        home.mkdir(parents=True, exist_ok=True)
        with self._log.open("a", encoding="utf-8") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "flows.prefect_server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=source_root(),
                env={**os.environ, **own_prefect_home(home, os.environ)},
                start_new_session=True,
            )

    def api(self) -> Api:
        """The API once it answers; `FedcoreError` when it does not, or cannot be started."""
        if self._process is None:
            return _configured(self._url or "")
        line = self._process.stdout.readline().strip() if self._process.stdout else ""
        kind, _, rest = line.partition(" ")
        if not rest:
            raise FedcoreError(f"Prefect's temporary server did not start: see {self._log}")
        url, _, home = rest.partition(" ")
        return Api(url, home) if kind == "temporary" else _configured(url)

    def stop(self) -> None:
        """End the temporary server, if it is one, with all that it started."""
        if self._process is None:
            return
        try:
            if self._process.stdin:
                self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=15)
        finally:
            end_group(self._process)
            self._process.wait()


class Supervisor:
    """Starts all processes of the command and ends them: a context manager."""

    def __init__(self, seats: tuple[Seat, ...], hear: Hear) -> None:
        """Start sessions for `seats` and Prefect."""
        self.sessions = [Session(seat, seat.save(), hear) for seat in seats]
        self.prefect = Prefect(seats[0].folder / "prefect")

    def __enter__(self) -> Self:
        """The supervisor itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all processes."""
        for session in self.sessions:
            session.stop()
        self.prefect.stop()

    def begin(self) -> Api:
        """Wait for Prefect and let the sessions begin."""
        api = self.prefect.api()
        for session in self.sessions:
            session.tell_url(api.url)
        return api

    def check(self) -> None:
        """Raise what a local party cannot go on because of."""
        for session in self.sessions:
            if session.error is not None:
                raise session.error

    def wait(self) -> None:
        """Wait until all sessions have ended; raises what any of them ended with."""
        while not all(session.ended.wait(0.2) for session in self.sessions):
            self.check()
        self.check()


def own_prefect_home(home: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Where a temporary Prefect keeps its database: beside the run, unless Prefect is set up."""
    chosen = {"PREFECT_HOME", "PREFECT_PROFILE"} & environ.keys()
    return {} if chosen else {"PREFECT_HOME": str(home)}


def source_root() -> Path:
    """Where `flows` can be imported from, whatever folder the command was typed in."""
    return Path(__file__).resolve().parents[1]


def _lines(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise FedcoreError("a session process has no standard output")
    return pipe
