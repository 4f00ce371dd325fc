"""The real processes that add up groups: started, killed, started again."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_story import ROOT
from rounds_story import RUN, ByHand, model

from fedcore.audit.signing import SigningKey
from fedcore.config.party import Address
from fedcore.exchange.folder import FolderStore
from fedcore.rounds import coordinator
from fedcore.rounds.coordinator import grouping
from tasks.coordinator import leaves
from tasks.coordinator.group_process import PARENT_GONE
from tasks.seat import COORDINATOR, Seat
from tasks.voices import Voice, attach

NAMES = ("1", "2", "3")
PYTHON = sys.executable


class Hearing(Voice):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture
def world(tmp_path: Path) -> ByHand:
    """A round to which all have replied, in a folder that processes can see."""
    store = FolderStore(tmp_path / "exchange")
    store.prepare()
    one = ByHand(tmp_path, NAMES, store, combining="tree", group_size=2)
    invitation = one.open()
    for party in NAMES:
        one.reply(invitation, party, model(float(party)))
    return one


@pytest.fixture
def voice() -> Hearing:
    return Hearing()


@pytest.fixture
def seat(world: ByHand, tmp_path: Path, voice: Hearing) -> str:
    """The coordinator's seat in that world."""
    place = Seat(
        run=RUN,
        owner=COORDINATOR,
        task=world.task,
        members=world.desk.members,
        exchange=Address("folder", str(tmp_path / "exchange")),
        state=str(tmp_path / "state"),
    )
    digest = hashlib.sha256(COORDINATOR.encode()).digest()
    SigningKey.load_or_create(place.key_path, lambda size: digest[:size])
    path = place.save()
    attach(path, voice)
    return path


def answers_of(world: ByHand, group: int) -> dict[str, str]:
    return grouping.group_answers(world.desk, 1, world.answers())[group]


def test_a_process_adds_up_what_the_coordinator_would(world, seat, voice, tmp_path) -> None:
    answers = answers_of(world, 1)
    assert leaves.add_up(seat, 1, 1, answers)
    theirs = coordinator.summed(world.desk, 1, 1, answers)
    other = ByHand(tmp_path / "other", NAMES, combining="tree", group_size=2)
    invitation = other.open()
    for party in NAMES:
        other.reply(invitation, party, model(float(party)))
    assert theirs == coordinator.sum_group(other.desk, 1, 1, answers)
    assert voice.said == []


def test_a_process_that_is_killed_is_started_again(
    world, seat, voice, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(sys, "executable", dying(tmp_path, times=2))
    assert leaves.add_up(seat, 1, 2, answers_of(world, 2))
    assert coordinator.summed(world.desk, 1, 2, answers_of(world, 2)) is not None
    assert voice.said == ["round 1: the process of group 2 died, started again"] * 2


def test_what_processes_cannot_do_is_left_to_the_coordinator(
    world, seat, voice, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(sys, "executable", dying(tmp_path, times=9))
    assert not leaves.add_up(seat, 1, 2, answers_of(world, 2))
    assert voice.said[-1].endswith("group 2 died, the coordinator adds it up itself")
    combined = coordinator.combine(world.desk, 1, world.answers())
    assert sorted(combined.weights) == sorted(NAMES)


def dying(folder: Path, times: int) -> str:
    """A Python that is killed the first few times that it is started."""
    script, marks = folder / "python", folder / "marks"
    script.write_text(
        f"#!/bin/sh\necho >> {marks}\n"
        f'if [ "$(wc -l < {marks})" -le {times} ]; then kill -9 $$; fi\n'
        f'exec {PYTHON} "$@"\n'
    )
    script.chmod(0o755)
    return str(script)


def test_a_process_ends_when_its_parent_is_gone(world, seat, tmp_path) -> None:
    """While it waits for an exchange that is away, or else it would be done before that."""
    told = json.dumps({"answers": answers_of(world, 1), "keys": {}})
    (tmp_path / "exchange").rename(tmp_path / "elsewhere")
    words = [PYTHON, "-m", "tasks.coordinator.group_process", seat, "1", "1"]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, text=True, cwd=ROOT)
    process.communicate(f"{told}\n", timeout=60)
    assert process.returncode == PARENT_GONE


def test_the_process_loads_neither_prefect_nor_torch() -> None:
    code = "import sys, tasks.coordinator.group_process as one; print(*sys.modules)"
    words = [PYTHON, "-c", code]
    loaded = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not {"prefect", "torch", "mlflow", "pyarrow", "pydicom"} & set(loaded.split())
