"""The keeper with small real processes: who dies comes back, who outlives it is adopted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fedcore.errors import FedcoreError, InputError
from flows.hub.home import Hub
from flows.hub.keeper import Keeper, note_path, only_keeper
from flows.hub.processes import Note, Started
from flows.hub.service import Service

PATIENCE = 20.0
STAYS = "import signal; signal.pause()"
# A leader that starts another process and tells of it.
LEADS = (
    "import subprocess, sys, signal; "
    "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()']); "
    "open('child', 'w').write(str(child.pid)); signal.pause()"
)
DEAF = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "open('deaf', 'w'); signal.pause()"
)


@pytest.fixture
def place(tmp_path) -> Hub:
    return Hub.create(tmp_path / "hub")


def service(hub: Hub, code: str = STAYS, **changes) -> Service:
    command = (sys.executable, "-c", code)
    return replace(Service("tiny", command, hub.home, lambda _: True, grace=0.5), **changes)


def note(hub: Hub, name: str = "tiny") -> Note:
    return Note.read(note_path(hub, name))


def until(keeper: Keeper, condition) -> None:
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, "the condition did not come true"
        keeper.look()
        time.sleep(0.02)


@pytest.fixture
def keeping(place):
    """Make keepers whose services are ended with the test."""
    made: list[Keeper] = []

    def make(*table: Service) -> Keeper:
        made.append(Keeper(place, table, os.environ, said.append))
        made[-1].said = said
        return made[-1]

    said: list[str] = []
    yield make
    for keeper in made:
        keeper.end()


def runs(hub: Hub, name: str = "tiny") -> bool:
    process = note(hub, name).process
    return process is not None and process.alive


def test_a_killed_service_is_started_again_and_counted(place, keeping):
    keeper = keeping(service(place))
    until(keeper, lambda: runs(place))
    first = note(place).process
    os.kill(first.pid, signal.SIGKILL)
    until(keeper, lambda: runs(place) and note(place).process != first)
    assert note(place).deaths == 1
    assert [line for line in keeper.said if "died, started again" in line]


def test_a_service_that_cannot_live_is_tried_ever_more_rarely(place, keeping):
    keeper = keeping(service(place, "raise SystemExit(1)"))
    until(keeper, lambda: note(place).deaths >= 3)
    pauses = [line.split(" in ")[1].split(" s")[0] for line in keeper.said if " in " in line]
    assert pauses[:3] == ["0.5", "1", "2"]


def test_a_service_that_cannot_be_prepared_is_said_and_tried_again(place, keeping):
    faults = [FedcoreError("no room on the disk")]

    def prepare() -> None:
        if faults:
            raise faults.pop()

    keeper = keeping(service(place, prepare=prepare))
    until(keeper, lambda: runs(place))
    assert "tiny: cannot be started: no room on the disk" in keeper.said


def test_a_program_that_is_not_there_does_not_end_the_keeper(place, keeping):
    missing = service(place, command=("/no/such/program",))
    keeper = keeping(missing, service(place, name="other"))
    until(keeper, lambda: runs(place, "other") and note(place).deaths >= 1)


def test_what_a_dead_leader_started_is_ended_before_it_is_started_again(place, keeping):
    keeper = keeping(service(place, LEADS))
    until(keeper, (place.home / "child").exists)
    until(keeper, (place.home / "child").read_text)
    child = int((place.home / "child").read_text())
    leader = note(place).process
    os.kill(leader.pid, signal.SIGKILL)
    until(keeper, lambda: runs(place) and note(place).process != leader)
    assert Started.of(child) is None


def test_a_new_keeper_adopts_what_lives(place, keeping):
    until(keeping(service(place)), lambda: runs(place))
    first = note(place).process
    again = keeping(service(place))
    until(again, lambda: runs(place))
    assert note(place).process == first
    assert [line for line in again.said if "adopted" in line]


def test_a_service_of_another_plan_is_not_adopted(place, keeping):
    until(keeping(service(place)), lambda: runs(place))
    first = note(place).process
    keeper = keeping(service(place, environ={"OTHER": "1"}))
    until(keeper, lambda: runs(place) and note(place).process != first)
    assert not first.alive


def test_a_service_that_is_adopted_and_dies_is_started_again(place, keeping):
    until(keeping(service(place)), lambda: runs(place))
    first = note(place).process
    again = keeping(service(place))
    os.kill(first.pid, signal.SIGKILL)
    os.waitpid(first.pid, 0)
    until(again, lambda: runs(place) and note(place).process != first)


def test_another_process_with_the_same_pid_is_left_alone(place, keeping):
    with subprocess.Popen([sys.executable, "-c", STAYS], start_new_session=True) as stranger:
        now = Started.of(stranger.pid)
        old = replace(now, ticks=now.ticks - 1)
        Note(old, "plan").write(note_path(place, "tiny"))
        assert not old.alive
        assert not old.left
        keeper = keeping(service(place))
        until(keeper, lambda: runs(place))
        assert note(place).process.pid != stranger.pid
        assert now.alive
        replace(now, boot="of another boot").end(0.1)
        assert now.alive
        stranger.kill()


def test_a_service_waits_for_what_it_needs(place, keeping):
    answers: list[int] = []
    first = service(place, name="first", probe=lambda _: bool(answers))
    keeper = keeping(first, service(place, after=("first",)))
    until(keeper, lambda: runs(place, "first"))
    for _ in range(5):
        keeper.look()
    assert not runs(place)
    answers.append(1)
    until(keeper, lambda: runs(place))


def test_who_does_not_listen_is_ended_by_force(place, keeping):
    keeper = keeping(service(place, DEAF))
    until(keeper, (place.home / "deaf").exists)
    process = note(place).process
    keeper.end()
    assert not process.alive
    assert note(place).process is None


def test_the_environment_of_others_does_not_reach_a_service(place, keeping, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "somebody's")
    monkeypatch.setenv("PREFECT_API_URL", "http://elsewhere")
    tell = "import os, signal; open('told', 'w').write(repr(dict(os.environ))); signal.pause()"
    keeper = keeping(service(place, tell, environ={"OWN": "yes"}))
    until(keeper, lambda: Path(place.home / "told").exists() and _read(place.home / "told"))
    told = _read(place.home / "told")
    assert "'OWN': 'yes'" in told
    assert "somebody's" not in told
    assert "elsewhere" not in told


def test_files_of_a_service_are_its_owners_alone(place, keeping):
    keeper = keeping(service(place, "open('made', 'w'); " + STAYS))
    until(keeper, (place.home / "made").exists)
    assert (place.home / "made").stat().st_mode & 0o077 == 0
    assert (place.home / "logs" / "tiny.log").stat().st_mode & 0o077 == 0


def test_a_hub_has_one_keeper(place):
    refusal = pytest.raises(InputError, match="has a keeper already: run fedcore down first")
    with only_keeper(place), refusal, only_keeper(place):
        pass
    with only_keeper(place):
        pass


def _read(path: Path) -> str:
    return path.read_text()
