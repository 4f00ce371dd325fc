"""`fedcore up` and `fedcore down`: from a folder to a running hub and back; twice is harmless."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedcore.errors import FedcoreError, InputError
from flows.hub import keeper
from flows.hub.database import VARIABLE, Postgres
from flows.hub.home import Hub
from flows.hub.keeper import note_path
from flows.hub.processes import Note
from flows.hub.running import keeper_note, keeper_runs, states
from flows.hub.services import services, source_root

Say = Callable[[str], None]
PATIENCE = 420.0  # seconds; on a busy machine a fresh MLflow database alone takes two minutes
LOOK_SECONDS = 0.3
DEATHS = 3
END_SECONDS = 60.0
LAST_LINES = 3


@dataclass(frozen=True)
class Wish:
    """What `fedcore up` was asked for."""

    home: Path
    ports: dict[str, int] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    foreground: bool = False


def up(wish: Wish, environ: Mapping[str, str], say: Say) -> Hub:
    """Make the hub if need be, start it, and wait until all of it can be used."""
    hub = prepared(wish, environ, say)
    if wish.foreground:
        say(f"the hub in {hub.home} runs in the foreground: end it with Ctrl-C")
        keeper.keep(hub, environ, say)
        return hub
    if not keeper_runs(hub):
        _start_keeper(hub, environ)
    wait_until_it_answers(hub, say)
    return hub


def prepared(wish: Wish, environ: Mapping[str, str], say: Say) -> Hub:
    """The hub as it is wished for; one that runs with other settings is ended first."""
    hub = Hub.create(wish.home, wish.ports, **wish.options)
    _keep_database(hub, environ)
    if keeper_runs(hub) and _out_of_date(hub):
        say("settings, certificate or fedcore have changed: the services are started anew")
        down(hub, say)
    return hub


def down(hub: Hub, say: Say) -> None:
    """End everything of the hub; harmless where nothing runs."""
    kept = keeper_note(hub).process
    if kept is not None and kept.alive:
        say("the hub's services are told to end")
        with contextlib.suppress(ProcessLookupError):
            os.kill(kept.pid, signal.SIGTERM)
        _wait_for_the_keeper(hub)
    for service in reversed(services(hub)):
        process = Note.read(note_path(hub, service.name)).process
        if process is not None and process.left:
            say(f"{service.name}: nobody kept it, ended (pid {process.pid})")
            process.end(service.grace)


def wait_until_it_answers(hub: Hub, say: Say) -> None:
    """Wait for each service, and say which; `FedcoreError` where one cannot be brought up."""
    table = services(hub)
    deaths = {one.name: Note.read(note_path(hub, one.name)).deaths for one in table}
    limit, said = time.monotonic() + PATIENCE, ""
    while True:
        missing = [state for state in states(hub, table) if not state.answers]
        if not missing:
            return
        names = ", ".join(state.service.name for state in missing)
        if names != said:
            say(f"waiting for {names}")
            said = names
        for state in missing:
            if state.note.deaths - deaths[state.service.name] >= DEATHS:
                raise _failed(hub, state.service.name, "it dies again and again")
        if time.monotonic() > limit:
            raise _failed(hub, missing[0].service.name, f"no answer within {PATIENCE:.0f} s")
        if not keeper_runs(hub):
            raise _failed(hub, "keeper", "it has ended")
        time.sleep(LOOK_SECONDS)


def _start_keeper(hub: Hub, environ: Mapping[str, str]) -> None:
    """Start the keeper in a session of its own, and see that it has begun."""
    path = hub.home / "logs" / "keeper.log"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.hub.keeper", str(hub.home)],
            cwd=hub.home,
            env={**environ, "PYTHONPATH": str(source_root())},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    limit = time.monotonic() + END_SECONDS
    while not keeper_runs(hub):
        if process.poll() is not None or time.monotonic() > limit:
            raise _failed(hub, "keeper", "it has ended")
        time.sleep(LOOK_SECONDS)


def _wait_for_the_keeper(hub: Hub) -> None:
    limit = time.monotonic() + END_SECONDS
    while keeper_runs(hub):
        if time.monotonic() > limit:
            raise _failed(hub, "keeper", f"it does not end within {END_SECONDS:.0f} s")
        time.sleep(LOOK_SECONDS)


def _keep_database(hub: Hub, environ: Mapping[str, str]) -> None:
    """Take PostgreSQL's URL from the environment, once it is known that it works."""
    url = environ.get(VARIABLE)
    if url and url != hub.secrets.database:
        if not hub.secrets.database and (hub.home / "prefect" / "prefect.db").exists():
            remedy = (
                "this hub keeps its records in SQLite already, and they would be missed: unset it, "
                "or begin another hub with --home"
            )
            raise InputError(f"environment: {VARIABLE} is set: {remedy}")
        Postgres.parse(url).make_databases()
        hub.secrets.keep_database(url)


def _out_of_date(hub: Hub) -> bool:
    """Whether a service runs that was started otherwise than it would be started now."""
    table = services(hub)
    notes = [Note.read(note_path(hub, one.name)) for one in table]
    return any(
        note.process is not None and note.plan != one.plan
        for one, note in zip(table, notes, strict=True)
    )


def _failed(hub: Hub, name: str, why: str) -> FedcoreError:
    path = hub.home / "logs" / f"{name}.log"
    return FedcoreError(f"{name}: {why}: see {path}{_last_words(path)}")


def _last_words(path: Path) -> str:
    try:
        lines = path.read_text("utf-8", "replace").strip().splitlines()[-LAST_LINES:]
    except OSError:
        return ""
    return f" (it ends with: {' | '.join(lines)})" if lines else ""
