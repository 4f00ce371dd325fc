"""A party that refuses is counted out with its reason, and nobody waits for it."""

from __future__ import annotations

import numpy as np
import pytest
from rounds_story import RUN, ByHand, key_of, model

from fedcore.errors import QuorumNotMet
from fedcore.exchange import keys
from fedcore.rounds import coordinator, sealed
from fedcore.rounds.messages import Pending, Refusal, line

GOOD = {"count": np.array(0, np.int64), "weight": np.ones(4, np.float32)}


def refuse(world: ByHand, party: str, reason: str = "model", signer: str | None = None) -> None:
    said = Refusal(
        run=RUN,
        party=party,
        task_hash=world.task.fingerprint(),
        reason=reason,
        sentence="its policy allows the models resnet18, and not cnn",
    )
    sealed.publish(world.store, keys.refusal(party, RUN), said, key_of(signer or party))


def founded(tmp_path, *present: str, **federation: object) -> ByHand:
    world = ByHand(tmp_path, **federation)
    coordinator.found(world.desk)
    for party in present:
        world.hello(party, model())
    return world


def test_a_refusal_is_an_answer_and_nobody_waits_for_the_deadline(tmp_path) -> None:
    world = founded(tmp_path, "1", "3", quorum=2)
    refuse(world, "2")
    assert list(coordinator.welcome(world.desk)) == ["1", "3"]
    assert world.time.clock() == 0
    subject = {"party": "2", "reason": "refused: model"}
    assert ("party_refused", subject) in world.desk.ledger.story()


def test_the_record_of_each_round_says_that_the_party_refused_and_why(tmp_path) -> None:
    world = founded(tmp_path, "1", "3", quorum=2)
    refuse(world, "2")
    coordinator.welcome(world.desk)
    weights = coordinator.adopt_initial_model(world.desk)
    invitation = coordinator.invite(world.desk, 1, weights)
    assert invitation.parties == ("1", "3")
    for party in invitation.parties:
        world.reply(invitation, party, GOOD)
    answers = {one: coordinator.ask(world.desk, 1, one) for one in invitation.parties}
    coordinator.combine(world.desk, 1, answers)
    record = coordinator.record(world.desk, 1, 0.0)
    assert record.parties["2"].status == "refused: model"
    assert "Host 2 refused: model" in line(record, world.desk.task)


def test_too_many_refusals_stop_the_run_at_once_and_name_the_party_and_its_reason(tmp_path) -> None:
    world = founded(tmp_path, "1", quorum=3)
    refuse(world, "2")
    with pytest.raises(QuorumNotMet, match=r"host-2 refuses: model, its policy allows"):
        coordinator.welcome(world.desk)
    assert world.time.clock() == 0


def test_a_guest_that_refuses_stops_the_run_with_its_reason(tmp_path) -> None:
    world = founded(tmp_path, "2", "3", quorum=1)
    refuse(world, "1")
    with pytest.raises(QuorumNotMet, match=r"guest-1 refuses the training \(model: its policy"):
        coordinator.welcome(world.desk)
    subject = {"party": "1", "reason": "refused: model"}
    assert ("party_refused", subject) in world.desk.ledger.story()


def test_a_party_that_refuses_in_mid_training_is_waited_for_no_longer(tmp_path) -> None:
    world = ByHand(tmp_path, quorum=2)
    invitation = world.open()
    world.reply(invitation, "1", GOOD)
    world.reply(invitation, "3", GOOD)
    refuse(world, "2", "by_a_person")
    answers = {one: coordinator.ask(world.desk, 1, one) for one in world.parties}
    assert answers == {"1": "replied", "2": "refused: by_a_person", "3": "replied"}
    coordinator.combine(world.desk, 1, answers)
    coordinator.record(world.desk, 1, 0.0)
    following = coordinator.invite(world.desk, 2, invitation.weights)
    assert following.parties == ("1", "3")


def test_a_reply_that_stands_counts_although_its_party_refused_later(tmp_path) -> None:
    world = ByHand(tmp_path)
    invitation = world.open()
    for party in world.parties:
        world.reply(invitation, party, GOOD)
    refuse(world, "2")
    assert set(world.answers().values()) == {"replied"}


def test_a_refusal_that_was_heard_counts_at_once(tmp_path) -> None:
    world = ByHand(tmp_path)
    world.open()
    refuse(world, "2")
    assert world.desk.declined("2") is not None
    assert list(world.desk.hellos()) == ["1", "3"]


@pytest.mark.parametrize("signer", ["3", "somebody"])
def test_nobody_else_can_refuse_for_a_party_that_has_said_hello(signer, tmp_path) -> None:
    world = ByHand(tmp_path)
    world.open()
    refuse(world, "2", signer=signer)
    assert world.desk.declined("2") is None
    assert list(world.desk.hellos()) == ["1", "2", "3"]


def test_a_refusal_that_names_another_party_is_nobodys(tmp_path) -> None:
    world = founded(tmp_path, "1", "3", quorum=2, deadline=5)
    said = Refusal(run=RUN, party="3", task_hash="", reason="model", sentence="")
    sealed.publish(world.store, keys.refusal("2", RUN), said, key_of("2"))
    assert world.desk.declined("2") is None
    assert list(coordinator.welcome(world.desk)) == ["1", "3"]


def test_garbage_in_place_of_a_refusal_is_no_refusal(tmp_path) -> None:
    world = ByHand(tmp_path)
    world.store.put_once(keys.refusal("2", RUN), b"no")
    world.open()
    assert list(world.desk.hellos()) == ["1", "2", "3"]


def test_the_wait_says_that_a_person_at_the_hospital_is_asked(tmp_path) -> None:
    world = founded(tmp_path, "1", "3", quorum=2, deadline=100)
    waits = Pending(run=RUN, party="2", task_hash=world.task.fingerprint())
    sealed.publish(world.store, keys.pending("2", RUN), waits, key_of("2"))
    coordinator.welcome(world.desk)
    assert "host-2's hello" in world.said[0]
    assert "it last asked a person there for approval" in world.said[0]
