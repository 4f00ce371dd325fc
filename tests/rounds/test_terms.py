"""Of several processes that act for one side, the last that began is the one; others end."""

from __future__ import annotations

import itertools
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rounds_story import RUN, ByHand, Time, key_of

from fedcore.audit.ledger import Ledger
from fedcore.errors import Superseded, Unreachable
from fedcore.exchange import keys
from fedcore.exchange.memory import MemoryStore
from fedcore.rounds import coordinator, terms
from fedcore.rounds.signs import last_sign

FOLDER = keys.coordinator_folder(RUN)
TERM = (RUN, "coordinator", FOLDER)


def counter() -> terms.Callable[[int], bytes]:
    """Other bytes at every call."""
    numbers = itertools.count()
    return lambda size: next(numbers).to_bytes(size, "big")


class Away(MemoryStore):
    """A store that takes nothing."""

    def put_once(self, key: str, body: bytes | memoryview) -> None:
        raise Unreachable("the test took the exchange away")


def take(store: MemoryStore, time: Time, random=None) -> terms.Fence:
    return terms.take(store, key_of("coordinator"), TERM, random or counter(), time.clock)


def test_the_older_of_two_coordinators_ends_before_its_next_decision(tmp_path) -> None:
    world = ByHand(tmp_path)
    invitation = world.open()
    old = replace(world.desk, fence=take(world.store, world.time))
    take(world.store, world.time)
    with pytest.raises(Superseded, match=r"another process took this run over \(term 2\)"):
        coordinator.invite(old, 2, invitation.weights)
    with pytest.raises(Superseded):
        coordinator.combine(old, 1, {})


def test_an_older_coordinator_that_only_waits_ends_as_well(tmp_path) -> None:
    world = ByHand(tmp_path)
    world.open()
    old = replace(world.desk, fence=take(world.store, world.time))
    take(world.store, world.time)
    with pytest.raises(Superseded):
        coordinator.ask(old, 1, "2", until=world.time.clock() + 60)


def test_the_newest_process_is_never_fenced() -> None:
    store, time = MemoryStore(), Time()
    take(store, time)
    newest = take(store, time)
    newest.require()
    assert newest.number == 2


def test_a_partys_ledger_notes_a_claim_before_it_leaves(tmp_path) -> None:
    store, key = MemoryStore(), key_of("1")
    ledger = Ledger(tmp_path / "ledger.jsonl", key, lambda: 0.0)
    place = ("r", "1", keys.party_folder("1", "r"))
    with pytest.raises(Unreachable):
        terms.take(Away(), key, place, counter(), Time().clock, ledger)
    terms.take(store, key, place, counter(), Time().clock, ledger)
    [key_there] = store.keys("parties/1/r/terms/")
    noted = [subject for kind, subject in ledger.story() if kind == "left"]
    assert {(one["object"], one["key"]) for one in noted} == {("term", key_there)}
    assert sha256(store.get(key_there)).hexdigest() in {one["sha256"] for one in noted}


def test_two_that_begin_at_one_moment_get_terms_of_their_own() -> None:
    store, time = MemoryStore(), Time()
    first = take(store, time, lambda size: b"a" * size)
    # The second has listed the terms before the first had written its own.
    hidden = MemoryStore()
    hidden.keys, hidden.put_once, hidden.exists = lambda *_: [], store.put_once, store.exists
    second = terms.take(hidden, key_of("coordinator"), TERM, lambda size: b"b" * size, time.clock)
    assert (first.number, second.number) == (1, 2)
    with pytest.raises(Superseded):
        first.require()


@given(st.integers(1, 12))
def test_of_any_number_of_processes_exactly_the_last_goes_on(count: int) -> None:
    store, time = MemoryStore(), Time()
    random = counter()
    fences = [take(store, time, random) for _ in range(count)]
    superseded = []
    for fence in fences:
        try:
            fence.require()
        except Superseded:
            superseded.append(fence.number)
    assert superseded == list(range(1, count))


def test_a_stuck_wait_says_what_the_party_last_did(tmp_path) -> None:
    world = ByHand(tmp_path)
    world.open()
    coordinator.ask(world.desk, 1, "2", until=world.time.clock() + 100)
    assert world.said == ["waiting for host-2's reply to round 1 for 60 s; it last said hello"]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([], "it has not been heard of yet"),
        (["hello.json"], "it last said hello"),
        (["agreement.json", "rounds/00000/model.safetensors"], "it last founded the run"),
        (["hello.json", "rounds/00002/reply.json"], "it last replied to round 2"),
        (
            [
                "rounds/00002/score.json",
                "rounds/00002/reply.json",
                "rounds/00010/update.safetensors",
            ],
            "it last uploaded the update of round 10",
        ),
        (["rounds/00002/score.json", "final/score.json"], "it last scored the final test"),
    ],
)
def test_the_last_sign_of_a_party_is_its_newest_object(found: list[str], said: str) -> None:
    store = MemoryStore()
    for name in found:
        store.put_once(f"parties/1/{RUN}/{name}", b"x")
    assert last_sign(store, f"parties/1/{RUN}/") == said
