"""A whole hub: commands twice, `kill -9` of whatever it consists of, and what it says of itself."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable

import pytest
from click.testing import Result
from typer.testing import CliRunner

from fedcore.exchange.s3 import S3Store
from fedcore.exchange.s3_users import create_party_user
from flows.cli import app
from flows.hub.home import Hub
from flows.hub.keeper import note_path
from flows.hub.processes import Note, Started
from flows.hub.running import keeper_runs, states
from flows.hub.services import services
from flows.hub.settings import BUCKET
from flows.hub.starting import wait_until_it_answers

pytestmark = pytest.mark.servers
PATIENCE = 240.0
NAMES = ("storage", "exchange", "prefect", "mlflow", "worker")


def fedcore(*words: str) -> Result:
    """A command as a person types it, in this process: a new one would import for seconds."""
    return CliRunner().invoke(app, list(words))


def processes(hub: Hub) -> dict[str, Started]:
    found = {name: Note.read(note_path(hub, name)).process for name in NAMES}
    return {name: process for name, process in found.items() if process is not None}


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, "the condition did not come true"
        time.sleep(0.1)


def exchange(hub: Hub) -> S3Store:
    return S3Store(hub.exchange.location, BUCKET, hub.exchange_environ())


def test_status_of_a_folder_without_a_hub_is_one_sentence(tmp_path):
    done = fedcore("status", "--home", str(tmp_path))
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"{tmp_path}: there is no hub in this folder: run fedcore up\n"
    assert fedcore("down", "--home", str(tmp_path)).exit_code == 2


def test_a_port_that_somebody_has_is_named_in_the_end(tmp_path):
    done = fedcore("up", "--home", str(tmp_path), "--port", "http=80")
    assert done.exit_code == 2
    assert "NAME one of exchange, prefect, mlflow" in done.stderr


def test_up_again_changes_nothing_and_shows_no_secret(hub):
    before = processes(hub)
    done = fedcore("up", "--home", str(hub.home))
    assert done.exit_code == 0, done.stderr
    assert processes(hub) == before
    for address in (str(hub.exchange), hub.settings.url("prefect"), hub.mlflow_url):
        assert address in done.stdout
    values = {*hub.exchange_environ().values(), hub.secrets.pair("prefect").secret}
    assert not [value for value in values if value in done.stdout + done.stderr]


def test_status_says_how_each_service_is(hub):
    done = fedcore("status", "--home", str(hub.home))
    assert done.exit_code == 0, done.stdout
    lines = {line.split(":")[0] for line in done.stdout.splitlines()}
    assert lines >= {f"answers  {name}".replace("  ", " ") for name in NAMES} | {"runs    keeper"}


def test_no_secret_is_in_a_log_or_on_a_command_line(hub):
    names = ("exchange", "artifacts", "prefect", "mlflow")
    values = [hub.secrets.pair(name).secret for name in names]
    values += [hub.secrets.token("jwt"), hub.secrets.token("flask")]
    logs = "".join(path.read_text("utf-8", "replace") for path in (hub.home / "logs").glob("*.log"))
    lines = "".join(_command_lines())
    assert str(hub.home) in lines
    assert not [value for value in values if value in logs or value in lines]


def test_a_killed_keeper_is_followed_by_one_that_adopts_what_runs(hub):
    before, keeper = processes(hub), Note.read(note_path(hub, "keeper")).process
    os.kill(keeper.pid, signal.SIGKILL)
    until(lambda: not keeper_runs(hub))
    assert fedcore("status", "--home", str(hub.home)).exit_code == 1
    done = fedcore("up", "--home", str(hub.home))
    assert done.exit_code == 0, done.stderr
    assert processes(hub) == before
    assert Note.read(note_path(hub, "keeper")).process != keeper


def test_status_names_a_dead_service_until_it_is_back(hub):
    keeper = Note.read(note_path(hub, "keeper")).process
    os.kill(keeper.pid, signal.SIGSTOP)
    try:
        processes(hub)["exchange"].tell(signal.SIGKILL)
        until(lambda: not processes(hub)["exchange"].alive)
        done = fedcore("status", "--home", str(hub.home))
        assert done.exit_code == 1
        assert "dead    exchange: at " in done.stdout
    finally:
        os.kill(keeper.pid, signal.SIGCONT)
    until(lambda: all(state.answers for state in states(hub, services(hub))))


def test_everything_that_is_killed_comes_back_with_what_it_held(hub):
    place, environ = hub.exchange, hub.exchange_environ()
    exchange(hub).put_once("tests/kill/object", b"held")
    user = create_party_user(place.location, environ, BUCKET, "killed")
    before = processes(hub)
    for process in before.values():
        os.kill(process.pid, signal.SIGKILL)  # the leaders alone: what they started is left over
    until(lambda: all(processes(hub).get(name) not in (None, before[name]) for name in NAMES))
    wait_until_it_answers(hub, lambda _: None)
    assert exchange(hub).get("tests/kill/object") == b"held"
    keys = {"AWS_ACCESS_KEY_ID": user.access_key, "AWS_SECRET_ACCESS_KEY": user.secret_key}
    S3Store(place.location, BUCKET, keys).put_once("parties/killed/run/object", b"still known")
    assert not [process for process in before.values() if process.left]


def _command_lines() -> list[str]:
    found = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True)
    return found.stdout.splitlines()
