"""The processes of a command: how odd lines, deaths, restarts and ends of sessions are taken."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from command_story import until
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rounds_story import task_file

from fedcore.config.address import Address
from fedcore.errors import InputError
from fedcore.rounds.messages import Member
from flows import seat_lock, supervisor
from flows.process_group import end_group
from flows.terminal import Terminal
from tasks.seat import Seat

# A session that tells an event, says where its worker is, and waits; the worker keeps the pipe.
STUBBORN = """
import json, os, subprocess, sys
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print('{"event": "torn', flush=True)
print("a library speaks", flush=True)
print(json.dumps({"event": "pids", "own": os.getpid(), "worker": worker.pid}), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def seat(tmp_path) -> Seat:
    return Seat(
        run="run",
        owner="1",
        task=task_file(),
        members=(Member(party_id="1", role="guest"), Member(party_id="2", role="host")),
        exchange=Address("folder", str(tmp_path / "exchange")),
        state=str(tmp_path / "out" / ".fedcore"),
    )


@pytest.fixture
def session(seat, tmp_path, monkeypatch):
    """A session whose process is `STUBBORN`, and what was heard of it."""
    package = tmp_path / "source" / "flows"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "session_process.py").write_text(STUBBORN)
    monkeypatch.setattr(supervisor, "source_root", lambda: package.parent)
    heard = []

    def hear(party, event):
        heard.append(event)
        raise KeyError("a terminal that cannot show it")

    session = supervisor.Session(seat, seat.save(), hear)
    yield session, heard
    session.stop()


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def pids(heard, number: int) -> dict:
    """What the `number`-th process of the session told."""
    told = lambda: [one for one in heard if one["event"] == "pids"]  # noqa: E731
    until(lambda: len(told()) >= number, "the session's word", 30)
    return told()[number - 1]


def test_a_killed_session_is_started_again_though_its_worker_keeps_the_pipe_open(session):
    one, heard = session
    first = pids(heard, 1)
    os.kill(first["own"], signal.SIGKILL)
    second = pids(heard, 2)
    assert not alive(first["worker"])
    assert alive(second["own"])
    assert one.error is None


def test_a_stopped_session_stays_dead_with_its_workers(session):
    one, heard = session
    told = pids(heard, 1)
    one.stop()
    assert one.ended.wait(10)
    until(lambda: not alive(told["worker"]), "the worker's end", 10)
    assert one.error is None
    assert [event["event"] for event in heard] == ["pids"]


def test_a_session_that_dies_again_and_again_ends_the_command(session):
    one, heard = session
    for number in range(1, supervisor.RESTARTS + 2):
        os.kill(pids(heard, number)["own"], signal.SIGKILL)
    assert one.ended.wait(20)
    assert "guest-1: its session died with code -9: see" in str(one.error)


@given(st.text() | st.sampled_from(["[]", "5", "{}", '{"event": 5}', '{"event": "x"', "[" * 5000]))
def test_a_line_that_is_no_event_is_passed_over(text):
    event = supervisor.event_of(text)
    assert event is None or isinstance(event["event"], str)


def test_the_same_seat_is_taken_once_and_another_seat_of_the_same_folder_is_free(seat):
    other = seat.model_copy(update={"owner": "2"})
    with seat_lock.held([seat]):
        with pytest.raises(InputError, match="in training here already") as refused:
            seat_lock.held([seat]).__enter__()
        with seat_lock.held([other]):
            pass
    assert "\n" not in str(refused.value)
    with seat_lock.held([seat]):
        pass


def test_a_process_started_meanwhile_does_not_keep_the_seat(seat):
    import subprocess  # noqa: PLC0415

    with seat_lock.held([seat]):
        child = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
        )
    try:
        with seat_lock.held([seat]):
            assert child.poll() is None
    finally:
        end_group(child)
        child.communicate()


def test_what_a_message_brings_cannot_steer_the_terminal():
    console = Console(record=True, width=100, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    terminal = Terminal({"1": "guest-1"}, console)
    terminal.hear("1", {"event": "say", "message": "\x1b[2Jgone\x07 [red]" + "x" * 5000})
    shown = console.export_text()
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[red]" in shown
    assert shown.count("x") < 2000
