"""Trainings whose updates travel packed: same rules, fewer bytes, the same bits after any stop."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from failing_store import Failing
from rounds_story import ByHand, model, task_file
from sharing_story import spooled
from worlds import bits, opened, world

from fedcore.config.task import TaskFile
from fedcore.config.update import CODECS
from fedcore.data.cohort import Cohort
from fedcore.errors import Unreachable
from fedcore.exchange import codec, keys, packing
from fedcore.exchange.memory import MemoryStore
from fedcore.models.catalogue import build
from fedcore.params import Params, norm, schema, subtract
from fedcore.rounds import coordinator, sealed
from fedcore.rounds.messages import Record
from fedcore.simulation import simulate_cohorts
from fedcore.training.local import train_round

LOSSY = [name for name in CODECS if name != "float32"]


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Cohort]:
    return opened(tmp_path_factory.mktemp("hospitals"))


def packed_task(name: str, share: float = 0.2, **federation: object) -> TaskFile:
    content = task_file(**federation).model_dump(mode="json")
    return TaskFile.model_validate({**content, "update": {"codec": name, "share": share}})


def update_of(place, task: TaskFile, party: str, number: int, start: Params) -> Params:
    """An update as the coordinator sees it."""
    [run] = {key.split("/")[1] for key in place.store.keys("coordinator/")}
    body = codec.Tensors.from_bytes(place.store.get(keys.update(party, run, number)))
    return dict(packing.Unpacked(codec.Lazy(body), task.update.codec, schema(start)))


def everybody_in(record: Record) -> bool:
    return {one.status for one in record.parties.values()} == {"admitted"}


@pytest.mark.parametrize("name", LOSSY)
def test_a_training_stopped_at_every_write_ends_with_the_same_bits(name, cohorts, tmp_path):
    task = packed_task(name, epochs=3, local_steps=1)
    whole = simulate_cohorts(task, cohorts, world(tmp_path / "whole"))
    exchange, stops, outcome = MemoryStore(), 0, None
    while outcome is None:
        try:
            failing = Failing(exchange, after=bool(stops % 2))
            outcome = simulate_cohorts(task, cohorts, world(tmp_path / "cut", failing))
        except Unreachable:
            stops += 1
    assert stops >= 10
    assert bits(outcome) == bits(whole)


@pytest.mark.parametrize("name", LOSSY)
def test_packed_updates_stay_within_the_clip_norm_and_are_admitted(name, cohorts, tmp_path):
    task, place = packed_task(name, clip_norm=0.05), world(tmp_path)
    outcome = simulate_cohorts(task, cohorts, place)
    for number in (1, 2):
        assert everybody_in(outcome.records[number - 1])
        for party in cohorts:
            size = norm(update_of(place, task, party, number, outcome.final))
            assert 0.02 < size <= 0.05 * (1 + 1e-5)


def test_what_topk_leaves_out_of_one_round_goes_with_the_next(cohorts, tmp_path):
    """Sent so far and the rest at home are together what was learned: Stich et al. 2018."""
    task, place = packed_task("topk", share=0.05, epochs=3, lr=0.001), world(tmp_path)
    outcome = simulate_cohorts(task, cohorts, place)
    plain = world(tmp_path / "plain")
    first = simulate_cohorts(packed_task("float32", epochs=1, lr=0.001), cohorts, plain)
    learned = update_of(plain, packed_task("float32"), "1", 1, first.final)
    sent = update_of(place, task, "1", 1, outcome.final)
    assert len(spooled(tmp_path, "1", "rest-*")) == 2  # of three rounds: the last, and one before
    early = tmp_path / "early"
    simulate_cohorts(packed_task("topk", share=0.05, epochs=1, lr=0.001), cohorts, world(early))
    [rest] = spooled(early, "1", "rest-*")
    for name, array in rest.items():
        np.testing.assert_array_equal(sent[name] + array, learned[name])
        assert ((sent[name] == 0) | (array == 0)).all()
    assert any(array.any() for array in rest.values())


def test_the_next_update_holds_what_was_left_out_before_it(cohorts, tmp_path):
    """Sent and left out in round 2 are together what was learned in it and left out in round 1."""
    task, place = packed_task("topk", share=0.05, epochs=2, lr=0.001), world(tmp_path)
    outcome = simulate_cohorts(task, cohorts, place)
    start = codec.decode(sealed.fetch(place.store, outcome.records[0].model))
    network = build(task.model, task.seed)
    trained = train_round(network, start, cohorts["1"].train, task, party_id="1", number=2)
    learned = subtract(trained.params, start)
    sent = update_of(place, task, "1", 2, start)
    before, after = spooled(tmp_path, "1", "rest-*")
    for name in after:
        np.testing.assert_array_equal(sent[name] + after[name], learned[name] + before[name])
    assert any(sent[name].any() for name in after)


def test_a_reply_in_another_codec_than_agreed_is_refused(tmp_path):
    hand = ByHand(tmp_path)
    invitation = hand.open()
    hand.reply(invitation, "1", model(1.0))
    hand.reply(invitation, "2", model(2.0), changes={"codec": "int8"})
    combined = coordinator.combine(hand.desk, 1, {"1": "replied", "2": "replied"})
    assert combined.absent == {"2": "wrong_codec"}
    assert set(combined.weights) == {"1"}


STRATEGIES = [
    {"strategy": "scaffold"},
    {"strategy": "median", "hostile": 0},
    {"strategy": "fedadam"},
    {"strategy": "fedbn"},
]


@pytest.mark.parametrize("federation", STRATEGIES, ids=lambda one: one["strategy"])
def test_strategies_take_packed_updates(federation, cohorts, tmp_path):
    task = packed_task("int8", **federation, epochs=2, local_steps=2)
    outcome = simulate_cohorts(task, cohorts, world(tmp_path))
    assert [everybody_in(record) for record in outcome.records] == [True, True]
