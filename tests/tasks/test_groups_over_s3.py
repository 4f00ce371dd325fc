"""A tree over a real S3 server: its groups' processes, one that is killed, and what parties see."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from rounds_story import RUN, ByHand, key_of

from fedcore.config.address import Address
from fedcore.errors import NotAllowed
from fedcore.exchange import keys
from fedcore.exchange.opening import open_store
from fedcore.exchange.s3_users import create_party_user
from fedcore.exchange.store import ObjectStore
from fedcore.params import Params, digest
from fedcore.rounds import coordinator
from fedcore.rounds.coordinator import grouping
from tasks.coordinator import leaves
from tasks.seat import COORDINATOR, Seat
from tasks.voices import Voice, attach

pytestmark = pytest.mark.servers
NAMES = ("1", "2", "3", "4")
NUMBERS = itertools.count()
PYTHON = sys.executable
MOMENTS = {"before its sums": ".safetensors", "between its sums and its word": ".json"}


class Hearing(Voice):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def update_of(party: str) -> Params:
    return {
        "count": np.array(int(party), np.int64),
        "weight": np.random.default_rng(int(party)).standard_normal(4).astype(np.float32),
    }


def answered(folder: Path, store) -> ByHand:
    """A round of two groups to which all four parties have replied."""
    one = ByHand(folder, NAMES, store, combining="tree", group_size=2)
    invitation = one.open()
    for party in NAMES:
        one.reply(invitation, party, update_of(party))
    return one


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The model's digest where all is in memory and one process."""
    return digest(answered(tmp_path_factory.mktemp("memory"), None).combine())


@pytest.fixture
def address(seaweedfs) -> Address:
    """A bucket of the test's own."""
    place = Address("s3", seaweedfs.endpoint, f"groups-{next(NUMBERS)}")
    open_store(place, seaweedfs.environ).prepare()
    return place


@pytest.fixture
def world(address, seaweedfs, tmp_path: Path) -> ByHand:
    return answered(tmp_path, open_store(address, seaweedfs.environ))


@pytest.fixture
def voice() -> Hearing:
    return Hearing()


@pytest.fixture
def seat(world, address, seaweedfs, voice, tmp_path, monkeypatch) -> str:
    """The coordinator's seat; what its processes need to reach the bucket is around them."""
    for name, value in seaweedfs.environ.items():
        monkeypatch.setenv(name, value)
    place = Seat(
        run=RUN,
        owner=COORDINATOR,
        task=world.task,
        members=world.desk.members,
        exchange=address,
        state=str(tmp_path / "state"),
    )
    key_of(COORDINATOR).save(place.key_path)
    path = place.save()
    attach(path, voice)
    return path


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_group_that_is_killed_while_it_adds_is_added_up_again_with_the_same_bits(
    world, seat, voice, expected, tmp_path, monkeypatch, moment
) -> None:
    answers = grouping.group_answers(world.desk, 1, world.answers())
    monkeypatch.setattr(sys, "executable", killed_once(tmp_path, MOMENTS[moment]))
    assert all(leaves.add_up(seat, 1, group, answers[group]) for group in (1, 2))
    assert voice.said == ["round 1: the process of group 1 died, started again"]
    sums = [coordinator.summed(world.desk, 1, group, answers[group]) for group in (1, 2)]
    assert [sorted(one.weights) for one in sums] == [["1", "2"], ["3", "4"]]
    before = world.store.keys(keys.GROUPS)
    assert digest(world.combine()) == expected
    assert world.store.keys(keys.GROUPS) == before


def killed_once(folder: Path, ending: str) -> str:
    """A Python that is killed the first time that a group writes an object of that ending."""
    program, script, mark = folder / "killed.py", folder / "python", folder / "was-killed"
    program.write_text(f"""
import os, pathlib, runpy, signal, sys
from fedcore.exchange.s3 import S3Store

put, mark = S3Store.put_once, pathlib.Path({str(mark)!r})

def dying(store, key, body):
    if "/group-" in key and key.endswith({ending!r}) and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    put(store, key, body)

S3Store.put_once = dying
sys.argv = sys.argv[2:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
""")
    script.write_text(f'#!/bin/sh\nexec {PYTHON} {program} "$@"\n')
    script.chmod(0o755)
    return str(script)


def test_no_partys_credentials_read_or_write_what_groups_add_up_to(
    world, address, seaweedfs
) -> None:
    world.combine()
    sums = world.store.keys(keys.groups_folder(RUN, 1))
    assert len(sums) == 4
    # No party of another test: its keys would end with this one.
    theirs = as_party("of-groups", seaweedfs, address)
    assert theirs.get(keys.combined(RUN, 1)) == world.store.get(keys.combined(RUN, 1))
    for key in sums:
        for refused in (theirs.get, theirs.size, theirs.exists):
            with pytest.raises(NotAllowed):
                refused(key)
        with pytest.raises(NotAllowed):
            theirs.put_once(f"{key}.more", b"mine")
    for prefix in (keys.GROUPS, keys.groups_folder(RUN, 1)):
        with pytest.raises(NotAllowed):
            theirs.keys(prefix)
    assert world.store.keys(keys.groups_folder(RUN, 1)) == sums


def as_party(party: str, seaweedfs, address: Address) -> ObjectStore:
    """The exchange as a party's own user reaches it."""
    place = (seaweedfs.endpoint, seaweedfs.environ, address.bucket)
    user = create_party_user(*place, party, [RUN])
    environ = {"AWS_ACCESS_KEY_ID": user.access_key, "AWS_SECRET_ACCESS_KEY": user.secret_key}
    return open_store(address, environ)
