"""A round whose updates are added up in groups, against the same round added up flat."""

from __future__ import annotations

import contextlib
import fnmatch
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rounds_story import RUN, ByHand, hospitals, model, task_file

from fedcore.errors import Interrupted, QuorumNotMet
from fedcore.exchange import codec, keys
from fedcore.exchange.memory import MemoryStore
from fedcore.exchange.party_policy import aws_policy, party_policy
from fedcore.exchange.store import ObjectStore
from fedcore.params import Params, digest
from fedcore.rounds import coordinator, sealed
from fedcore.rounds.coordinator import grouping
from fedcore.rounds.coordinator.combining import combined_of
from fedcore.simulation import World, simulate

NAMES = ("1", "2", "3", "4", "5")
THREE = NAMES[:3]


def update_of(party: str) -> Params:
    random = np.random.default_rng(int(party))
    return {
        "count": np.array(int(party), np.int64),
        "weight": random.standard_normal(4).astype(np.float32),
    }


def world(
    folder: Path, store: Any = None, parties: tuple[str, ...] = NAMES, **federation: object
) -> ByHand:
    fields = {"combining": "tree", "group_size": 2, **federation}
    return ByHand(folder, parties=parties, store=store, **fields)


def answered(folder: Path, order: tuple[str, ...] = NAMES, **fields: Any) -> ByHand:
    """A round to which the parties have replied in this order."""
    one = world(folder, **fields)
    invitation = one.open()
    for party in order:
        one.reply(invitation, party, update_of(party))
    return one


def expected(parties: tuple[str, ...]) -> Params:
    """The mean by numpy: group by group in float64, then over the groups."""
    groups = (("1", "2"), ("3", "4"), ("5",))
    sums = [
        sum(10.0 * update_of(one)["weight"].astype(np.float64) for one in group if one in parties)
        for group in groups
    ]
    mean = (sum(sums) / (10.0 * len(parties))).astype(np.float32)
    counts = [int(party) for party in parties]
    return {
        "count": np.array(3 + round(sum(counts) / len(counts)), np.int64),
        "weight": model()["weight"] + mean,
    }


def test_groups_follow_one_another_in_the_order_of_party_ids(tmp_path) -> None:
    one = ByHand(tmp_path, ("10", "2", "1", "9", "5"), combining="tree", group_size=2)
    invitation = one.open()
    assert grouping.groups_of(one.desk, invitation) == [("1", "10"), ("2", "5"), ("9",)]


def test_without_a_tree_there_are_no_groups(tmp_path) -> None:
    one = ByHand(tmp_path)
    one.open()
    assert coordinator.groups(one.desk, 1) == []


def test_a_tree_makes_the_mean_of_all_groups(tmp_path) -> None:
    one = answered(tmp_path)
    new = one.combine()
    assert digest(new) == digest(expected(NAMES))
    said = combined_of(one.desk, 1)
    assert said.weights == dict.fromkeys(NAMES, 10.0)
    assert len(said.groups) == 3


def test_the_order_of_arrival_and_of_the_leaves_changes_no_bit(tmp_path) -> None:
    plain = digest(answered(tmp_path / "plain").combine())
    for number, order in enumerate(itertools.permutations((1, 2, 3))):
        one = answered(tmp_path / str(number), NAMES[::-1])
        answers = grouping.group_answers(one.desk, 1, one.answers())
        for group in order:
            coordinator.sum_group(one.desk, 1, group, answers[group])
        assert digest(one.combine()) == plain


def test_a_sum_that_stands_is_not_made_again(tmp_path) -> None:
    one = answered(tmp_path)
    answers = grouping.group_answers(one.desk, 1, one.answers())
    first = [coordinator.sum_group(one.desk, 1, group, answers[group]) for group in (1, 2, 3)]
    before = one.store.keys()
    updates_gone = {keys.update(party, RUN, 1) for party in NAMES}
    one.store.view = without(one.store.view, updates_gone)
    assert digest(one.combine()) == digest(expected(NAMES))
    new = set(one.store.keys()) - set(before)
    assert not any("group-" in key for key in new)
    assert all(one.bodies for one in first)


def without(view: Callable[[str], memoryview], gone: set[str]) -> Callable[[str], memoryview]:
    def viewing(key: str) -> memoryview:
        assert key not in gone
        return view(key)

    return viewing


@pytest.mark.parametrize("bound", [1, 8, 40, 1000])
def test_the_size_of_the_bodies_changes_no_bit(tmp_path, monkeypatch, bound) -> None:
    monkeypatch.setattr(grouping, "BODY_BYTES", bound)
    assert digest(answered(tmp_path).combine()) == digest(expected(NAMES))


def test_an_update_that_is_refused_in_a_group_is_left_out_with_its_reason(tmp_path) -> None:
    one = world(tmp_path)
    invitation = one.open()
    for party in NAMES:
        odd = {**update_of(party), "weight": np.full(4, np.nan, np.float32)}
        one.reply(invitation, party, odd if party == "2" else update_of(party))
    new = one.combine()
    assert digest(new) == digest(expected(("1", "3", "4", "5")))
    assert combined_of(one.desk, 1).absent == {"2": "not_finite"}


def test_a_group_in_which_nobody_is_admitted_adds_nothing(tmp_path) -> None:
    one = world(tmp_path)
    invitation = one.open()
    for party in ("1", "2", "5"):
        one.reply(invitation, party, update_of(party))
    one.reply(invitation, "3", update_of("3"), signer="4")
    new = one.combine()
    assert digest(new) == digest(expected(("1", "2", "5")))
    assert combined_of(one.desk, 1).absent == {"3": "wrong_signer", "4": "late"}


def test_the_quorum_counts_the_admitted_of_all_groups(tmp_path) -> None:
    one = world(tmp_path, quorum=4)
    invitation = one.open()
    for party in ("1", "2", "3"):
        one.reply(invitation, party, update_of(party))
    with pytest.raises(QuorumNotMet, match="3 replies and the quorum is 4"):
        one.combine()
    one.reply(invitation, "5", update_of("5"))
    assert digest(one.combine()) == digest(expected(("1", "2", "3", "5")))


def test_a_round_in_which_nobody_is_admitted_is_void(tmp_path) -> None:
    one = world(tmp_path)
    one.open()
    with pytest.raises(QuorumNotMet):
        one.combine()


class Ending:
    """A store that ends whoever uses it at the `left`-th call; before or after it is done."""

    own = None

    def __init__(self, inner: MemoryStore, left: int, *, after: bool) -> None:
        self._inner, self._left, self._after = inner, left, after

    def __getattr__(self, name: str) -> Any:
        act = getattr(self._inner, name)

        def calling(*arguments: Any) -> Any:
            left = self._left = self._left - 1  # other threads count on meanwhile
            if left == 0 and not self._after:
                raise Interrupted("ended by the test")
            try:
                return act(*arguments)
            finally:
                if left == 0:
                    raise Interrupted("ended by the test")

        return calling


@pytest.mark.parametrize("after", [False, True])
def test_whoever_is_ended_at_any_call_and_comes_back_makes_the_same_bits(
    tmp_path, monkeypatch, after
) -> None:
    monkeypatch.setattr(grouping, "BODY_BYTES", 20)
    one = answered(tmp_path, THREE, parties=THREE)
    answers = one.answers()
    plain = digest(answered(tmp_path / "plain", THREE, parties=THREE).combine())
    for call in itertools.count(1):
        inner = copied(one.store)
        mortal = world(tmp_path / "mortal", Ending(inner, call, after=after), parties=THREE)
        with contextlib.suppress(Interrupted):
            coordinator.combine(mortal.desk, 1, answers)
            break  # it has come to its end before that call
        again = world(tmp_path / "again", inner, parties=THREE)
        assert digest(again.combine()) == plain
    assert call > 30


def copied(store: ObjectStore) -> MemoryStore:
    copy = MemoryStore()
    for key in store.keys(""):
        copy.put_once(key, store.get(key))
    return copy


def test_each_leaf_reads_its_own_updates_and_the_top_reads_none(tmp_path) -> None:
    one = answered(tmp_path)
    read: list[str] = []
    view = one.store.view
    one.store.view = lambda key: read.append(key) or view(key)
    answers = grouping.group_answers(one.desk, 1, one.answers())
    coordinator.sum_group(one.desk, 1, 2, answers[2])
    theirs = {keys.update(party, RUN, 1) for party in ("3", "4")}
    assert {key for key in read if "update" in key} == theirs
    for group in (1, 3):
        coordinator.sum_group(one.desk, 1, group, answers[group])
    read.clear()
    one.combine()
    assert not [key for key in read if key.startswith("parties/") and "update" in key]


def test_sums_that_were_changed_in_the_exchange_are_refused(tmp_path) -> None:
    one = answered(tmp_path)
    answers = grouping.group_answers(one.desk, 1, one.answers())
    said = coordinator.sum_group(one.desk, 1, 1, answers[1])
    body = one.store.get(said.bodies[0].key)
    view, lie = one.store.view, memoryview(body[:-1] + bytes([body[-1] ^ 1]))
    one.store.view = lambda key: lie if key == said.bodies[0].key else view(key)
    with pytest.raises(sealed.Refused, match="wrong_hash"):
        one.combine()


@pytest.mark.parametrize("strategy", ["scaffold", "fednova", "fedadam"])
def test_a_training_by_groups_goes_where_the_flat_one_goes(tmp_path, strategy) -> None:
    data = hospitals(tmp_path / "data", ("1", "2", "3"))
    fields = {"strategy": strategy, "epochs": 2}
    flat = simulate(task_file(**fields), data, World(tmp_path / "flat"))
    tree_task = task_file(**fields, combining="tree", group_size=2)
    tree = simulate(tree_task, data, World(tmp_path / "tree"))
    again = simulate(tree_task, data, World(tmp_path / "again"))
    assert digest(tree.final) == digest(again.final)
    for name, array in flat.final.items():
        assert np.allclose(tree.final[name], array, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("policy", [party_policy("fed", "1", [RUN]), aws_policy("fed", "1")])
def test_no_party_may_read_what_a_group_adds_up_to(tmp_path, policy) -> None:
    one = answered(tmp_path)
    one.combine()
    of_groups = [key for key in one.store.keys("") if "/group-" in key]
    allowed = [place for said in policy["Statement"] for place in said["Resource"]]
    assert any(fnmatch.fnmatch(f"arn:aws:s3:::fed/coordinator/{RUN}/x", one) for one in allowed)
    for key in of_groups:
        assert not any(fnmatch.fnmatch(f"arn:aws:s3:::fed/{key}", place) for place in allowed)
    assert len(of_groups) == 6


def test_a_body_of_sums_can_be_read_as_any_other(tmp_path) -> None:
    one = answered(tmp_path)
    answers = grouping.group_answers(one.desk, 1, one.answers())
    said = coordinator.sum_group(one.desk, 1, 3, answers[3])
    (body,) = said.bodies
    held = codec.decode(sealed.fetch(one.store, body))
    assert np.array_equal(held["weight"], 10.0 * update_of("5")["weight"].astype(np.float64))
    assert said.notes["total/weight"] == 10.0


def test_a_simulation_in_memory_keeps_no_sums_of_groups_beyond_their_round(tmp_path) -> None:
    data = hospitals(tmp_path / "data")
    plain, sparing = MemoryStore(), MemoryStore(keeps=False)
    task = task_file(combining="tree", group_size=1)
    first = simulate(task, data, World(tmp_path / "plain", plain))
    again = simulate(task, data, World(tmp_path / "sparing", sparing))
    assert digest(first.final) == digest(again.final)
    bodies = [key for key in sparing.keys("groups/") if key.endswith(".safetensors")]
    assert [sparing.size(key) for key in bodies] == [0] * 4
    assert all(plain.size(key) for key in bodies)
