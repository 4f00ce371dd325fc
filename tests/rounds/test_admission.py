"""What a reply must be to count, and what happens to one that is not."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rounds_story import RUN, ByHand, key_of, model

from fedcore.errors import QuorumNotMet, Refused, RunMismatch
from fedcore.exchange import codec, keys
from fedcore.exchange.memory import MemoryStore
from fedcore.metrics import Scores
from fedcore.rounds import coordinator, sealed
from fedcore.rounds.coordinator.combining import combined_of
from fedcore.rounds.messages import Combined, Hello, Invitation, ObjectRef, Score

GOOD = {"count": np.array(2, np.int64), "weight": np.ones(4, np.float32)}

WRONG_BODIES = {
    "nan": ({**GOOD, "weight": np.array([1, np.nan, 1, 1], np.float32)}, "not_finite"),
    "infinity": ({**GOOD, "weight": np.array([1, np.inf, 1, 1], np.float32)}, "not_finite"),
    "another shape": ({**GOOD, "weight": np.ones(5, np.float32)}, "shape"),
    "another dtype": ({**GOOD, "weight": np.ones(4, np.float64)}, "dtype"),
    "a parameter missing": ({"weight": np.ones(4, np.float32)}, "schema"),
    "a parameter too many": ({**GOOD, "more": np.ones(1, np.float32)}, "schema"),
    "a pickle": (pickle.dumps({"weight": [1.0]}), "not_safetensors"),
    "a cut file": (codec.encode(GOOD)[:-3], "truncated"),
    "a huge norm": ({**GOOD, "weight": np.full(4, 1e6, np.float32)}, "norm"),
}

WRONG_ENVELOPES = {
    "wrong_run": {"run": "another"},
    "wrong_round": {"round": 2},
    "wrong_party": {"party": "3"},
    "stale_base": {"base": "0" * 64},
    "wrong_task": {"task_hash": "0" * 64},
    "data_changed": {"contract_hash": "0" * 64},
    "wrong_key": {"update": ObjectRef(key=keys.update("3", RUN, 1), sha256="0" * 64, size=1)},
}


def expect_refused(world: ByHand, reason: str) -> None:
    """Party 2 is out with its reason; the round goes on with 1 and 3."""
    new = world.combine()
    combined = combined_of(world.desk, 1)
    assert combined.absent == {"2": reason}
    assert set(combined.weights) == {"1", "3"}
    assert np.array_equal(new["weight"], np.ones(4, np.float32))


@pytest.mark.parametrize("fault", WRONG_BODIES)
def test_an_update_with(fault: str, tmp_path) -> None:
    world = ByHand(tmp_path, clip_norm=100.0)
    invitation = world.open()
    body, reason = WRONG_BODIES[fault]
    for party, update in (("1", GOOD), ("2", body), ("3", GOOD)):
        world.reply(invitation, party, update)
    expect_refused(world, reason)
    assert ("update_absent", {"round": 1, "party": "2", "reason": reason}) in (
        world.desk.ledger.story()
    )


@pytest.mark.parametrize("reason", WRONG_ENVELOPES)
def test_a_reply_that_is_refused_as(reason: str, tmp_path) -> None:
    world = ByHand(tmp_path)
    invitation = world.open()
    world.reply(invitation, "1", GOOD)
    world.reply(invitation, "2", GOOD, changes=WRONG_ENVELOPES[reason])
    world.reply(invitation, "3", GOOD)
    assert world.answers()["2"] == reason
    expect_refused(world, reason)


def test_a_reply_signed_with_another_partys_key_is_refused(tmp_path) -> None:
    world = ByHand(tmp_path)
    invitation = world.open()
    world.reply(invitation, "1", GOOD)
    world.reply(invitation, "2", GOOD, signer="3")
    world.reply(invitation, "3", GOOD)
    expect_refused(world, "wrong_signer")


def test_an_update_other_than_the_announced_one_is_refused(tmp_path) -> None:
    world = ByHand(tmp_path)
    invitation = world.open()
    other = sealed.reference(keys.update("2", RUN, 1), codec.encode(model(9.0)))
    world.reply(invitation, "1", GOOD)
    world.reply(invitation, "2", GOOD, changes={"update": other})
    world.reply(invitation, "3", GOOD)
    expect_refused(world, "wrong_hash")


def test_a_hello_signed_with_another_key_than_the_pinned_one_stops_the_run(tmp_path) -> None:
    world = ByHand(tmp_path, quorum=3)
    world.desk = replace(world.desk, pinned={"2": key_of("somebody else").public})
    with pytest.raises(RunMismatch, match="host-2"):
        world.open()


def test_a_round_in_which_nothing_is_admitted_never_makes_a_model(tmp_path) -> None:
    world = ByHand(tmp_path, quorum=1)
    invitation = world.open()
    for party in world.parties:
        world.reply(invitation, party, {**GOOD, "weight": np.full(4, np.nan, np.float32)})
    with pytest.raises(QuorumNotMet):
        world.combine()
    assert not world.store.exists(keys.combined(RUN, 1))


def test_too_few_replies_void_the_round_and_say_who_is_missing(tmp_path) -> None:
    world = ByHand(tmp_path, quorum=2)
    invitation = world.open()
    world.reply(invitation, "2", GOOD)
    with pytest.raises(QuorumNotMet, match=r"guest-1: late.*host-3: late"):
        coordinator.require_quorum(world.desk, 1, world.answers())


def test_a_late_party_is_absent_and_the_round_goes_on(tmp_path) -> None:
    world = ByHand(tmp_path, quorum=2, deadline=30)
    invitation = world.open()
    world.reply(invitation, "1", GOOD)
    world.reply(invitation, "3", GOOD)
    answers = world.answers()
    coordinator.require_quorum(world.desk, 1, answers)
    assert answers["2"] == "late"
    expect_refused(world, "late")


def test_a_stuck_wait_says_what_it_waits_for_and_how_long(tmp_path) -> None:
    world = ByHand(tmp_path)
    world.open()
    assert coordinator.ask(world.desk, 1, "2", until=world.time.clock() + 400) == "late"
    assert world.said[0].startswith("waiting for host-2's reply to round 1 for 6")
    assert len(world.said) == 2


@given(st.permutations(["1", "2", "3"]), st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3))
def test_the_order_of_arrival_changes_no_bit(tmp_path_factory, order, values) -> None:
    models = []
    for arrival in (order, ["1", "2", "3"]):
        world = ByHand(tmp_path_factory.mktemp("order"), weighting="patients")
        world.patients = {"1": 7, "2": 14, "3": 21}
        invitation = world.open(model(0.1))
        for party in arrival:
            update = {**GOOD, "weight": np.full(4, values[int(party) - 1], np.float32)}
            world.reply(invitation, party, update)
        models.append(world.combine())
    assert all(np.array_equal(models[0][name], models[1][name]) for name in models[0])


def test_a_second_coordinator_follows_what_the_first_has_combined(tmp_path) -> None:
    world = ByHand(tmp_path, quorum=2)
    invitation = world.open()
    world.reply(invitation, "1", GOOD)
    world.reply(invitation, "3", GOOD)
    first = world.combine()
    world.reply(invitation, "2", {**GOOD, "weight": np.full(4, 100, np.float32)})
    assert np.array_equal(world.combine()["weight"], first["weight"])
    assert set(combined_of(world.desk, 1).weights) == {"1", "3"}


def test_a_combined_message_of_somebody_else_is_not_followed(tmp_path) -> None:
    world = ByHand(tmp_path)
    invitation = world.open()
    forged = Combined(run=RUN, round=1, model=invitation.weights, weights={}, updates={}, absent={})
    sealed.publish(world.store, keys.combined(RUN, 1), forged, key_of("1"))
    for party in world.parties:
        world.reply(invitation, party, GOOD)
    with pytest.raises(Exception, match="wrong_signer"):
        world.combine()


def test_counters_stay_integers_and_are_averaged_as_such(tmp_path) -> None:
    world = ByHand(tmp_path)
    invitation = world.open()
    for party, count in (("1", 4), ("2", 5), ("3", 5)):
        world.reply(invitation, party, {**GOOD, "count": np.array(count, np.int64)})
    new = world.combine()
    assert new["count"].dtype == np.int64
    assert int(new["count"]) == 3 + 5


def test_a_record_pools_what_the_parties_scored_and_withholds_the_rest(tmp_path) -> None:
    world = ByHand(tmp_path)
    invitation = world.open()
    for party in world.parties:
        world.reply(invitation, party, GOOD)
    world.combine()
    sha256 = combined_of(world.desk, 1).model.sha256
    world.score(1, "1", sha256, right=3, wrong=1)
    world.score(1, "2", sha256, right=1, wrong=5)
    record = coordinator.record(world.desk, 1, 1.5)
    assert record.accuracy == pytest.approx(4 / 10)
    assert record.parties["1"].accuracy == pytest.approx(3 / 4)
    assert record.parties["3"].accuracy is None
    assert record.train_accuracy == pytest.approx(0.75)
    again = coordinator.record(world.desk, 1, 99.0)
    assert again == record


def test_the_quorum_counts_admitted_updates_not_replies(tmp_path) -> None:
    world = ByHand(tmp_path, quorum=2)
    invitation = world.open()
    world.reply(invitation, "1", GOOD)
    for party in ("2", "3"):
        world.reply(invitation, party, {**GOOD, "weight": np.full(4, np.nan, np.float32)})
    with pytest.raises(QuorumNotMet, match="host-2: not_finite"):
        world.combine()
    assert not world.store.exists(keys.combined(RUN, 1))


@pytest.mark.parametrize("counts", [{"patients": 10**6}, {"images": 1}, {"patients": 11}])
def test_a_reply_cannot_weigh_more_than_its_party_said_hello_with(counts, tmp_path) -> None:
    world = ByHand(tmp_path)
    invitation = world.open()
    world.reply(invitation, "1", GOOD)
    world.reply(invitation, "2", GOOD, changes=counts)
    world.reply(invitation, "3", GOOD)
    expect_refused(world, "wrong_counts")


def test_numbers_that_no_hospital_has_are_refused_as_malformed(tmp_path) -> None:
    world = ByHand(tmp_path)
    invitation = world.open()
    world.reply(invitation, "1", GOOD)
    world.reply(invitation, "2", GOOD, changes={"metrics": {"loss": 1e308}})
    world.reply(invitation, "3", GOOD)
    expect_refused(world, "malformed")


def test_a_huge_update_is_refused_before_it_is_fetched(tmp_path) -> None:
    world = ByHand(tmp_path)
    invitation = world.open()
    huge = ObjectRef(key=keys.update("2", RUN, 1), sha256="0" * 64, size=2 * 10**11)
    world.reply(invitation, "1", GOOD)
    world.reply(invitation, "2", GOOD, changes={"update": huge})
    world.reply(invitation, "3", GOOD)
    expect_refused(world, "too_large")


def test_a_late_party_with_other_classes_is_left_out_and_the_training_goes_on(tmp_path) -> None:
    world = ByHand(tmp_path, quorum=2, deadline=30)
    coordinator.found(world.desk)
    for party in ("1", "2"):
        world.hello(party, model())
    coordinator.welcome(world.desk)
    weights = coordinator.adopt_initial_model(world.desk)
    world.hello("3", model(), classes=("PNEUMONIA", "NORMAL"))
    assert coordinator.invite(world.desk, 1, weights).parties == ("1", "2")
    assert world.desk.refusal("3") == "other_classes"
    assert list(coordinator.welcome(world.desk)) == ["1", "2"]


def test_the_key_of_the_first_hello_is_required_from_then_on(tmp_path) -> None:
    world = ByHand(tmp_path)
    world.open()
    first = world.desk.public_key("2")
    swapped = MemoryStore()
    for key in world.store.keys(""):
        if key != keys.hello("2", RUN):
            swapped.put_once(key, world.store.get(key))
    later = replace(world.desk, store=swapped, memory={})
    impostor = sealed.read(world.store, keys.hello("2", RUN), Hello, None)
    sealed.publish(swapped, keys.hello("2", RUN), impostor, key_of("impostor"))
    assert later.public_key("2") == first
    assert later.refusal("2") == "wrong_signer"


def test_an_old_message_that_is_copied_to_another_round_is_refused(tmp_path) -> None:
    world = ByHand(tmp_path)
    world.open()
    body = world.store.get(keys.invitation(RUN, 1))
    world.store.put_once(keys.invitation(RUN, 7), body)
    with pytest.raises(Refused, match="wrong_round"):
        sealed.read(world.store, keys.invitation(RUN, 7), Invitation, world.desk.key.public)


def test_scores_over_other_classes_are_not_pooled(tmp_path) -> None:
    world = ByHand(tmp_path)
    invitation = world.open()
    for party in world.parties:
        world.reply(invitation, party, GOOD)
    world.combine()
    sha256 = combined_of(world.desk, 1).model.sha256
    world.score(1, "1", sha256, right=3, wrong=1)
    three = Scores.of(np.eye(3), np.arange(3), 1.0, patients=9)
    message = Score(run=RUN, party="2", round=1, scores={sha256: three.to_json()})
    sealed.publish(world.store, keys.score("2", RUN, 1), message, key_of("2"))
    record = coordinator.record(world.desk, 1, 1.0)
    assert record.accuracy == pytest.approx(3 / 4)
    assert record.parties["2"].accuracy is None
