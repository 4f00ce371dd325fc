"""Rounds that the first few replies close: who is in, what a late update weighs, who is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rounds_story import RUN, ByHand, model

from fedcore.errors import QuorumNotMet, TaskFileError
from fedcore.exchange import codec, keys
from fedcore.params import Params
from fedcore.rounds import coordinator, sealed
from fedcore.rounds.coordinator.combining import combined_of
from fedcore.rounds.messages import Invitation, line
from fedcore.strategies import Contribution, rule_for


def update(value: float) -> Params:
    return {"count": np.array(2, np.int64), "weight": np.full(4, value, np.float32)}


class Buffered(ByHand):
    """Three parties, of which the first two replies close a round."""

    def __init__(self, folder: Path, **federation: object) -> None:
        said = {"strategy": "fedbuff", "buffer_size": 2, "quorum": None, **federation}
        super().__init__(folder, **said)
        self.invitations = {1: self.open()}

    def send(self, party: str, value: float, trained_in: int, number: int) -> None:
        """A party's update of one round, sent into another."""
        base: Invitation = self.invitations[trained_in]
        body = codec.encode(update(value))
        ref = sealed.reference(keys.update(party, RUN, trained_in), body)
        self.store.put_once(ref.key, body)
        changes = {"trained_in": trained_in, "base": base.weights.sha256, "update": ref}
        # The reply's own body is not looked at: `changes` name the one that counts.
        super().reply(self.invitations[number], party, b"-", changes=changes)

    def fresh(self, number: int, **values: float) -> None:
        """Replies of this round: `_1=0.5` is party 1's update of so much."""
        for name, value in values.items():
            self.reply(self.invitations[number], name.removeprefix("_"), update(value))

    def close(self, number: int) -> Params:
        """Gather what is there, combine, record, and invite to the next round."""
        answers = coordinator.gather(self.desk, number, self.time.clock())
        coordinator.require_quorum(self.desk, number, answers)
        combined = coordinator.combine(self.desk, number, answers)
        coordinator.record(self.desk, number, 1.0)
        self.invitations[number + 1] = coordinator.invite(self.desk, number + 1, combined.model)
        return codec.decode(sealed.fetch(self.store, combined.model))


def test_a_round_closes_with_the_first_replies_and_says_that_the_others_train(tmp_path) -> None:
    world = Buffered(tmp_path)
    world.fresh(1, _1=1, _3=3)
    new = world.close(1)
    assert world.time.clock() == 0
    assert combined_of(world.desk, 1).absent == {"2": "training"}
    assert np.array_equal(new["weight"], model(2.0)["weight"])
    assert "Host 2 training" in line(coordinator.records(world.desk)[0], world.desk.task)


def test_a_round_that_is_not_full_waits_and_is_void_at_the_deadline(tmp_path) -> None:
    world = Buffered(tmp_path, deadline=30)
    world.fresh(1, _1=1)
    answers = coordinator.gather(world.desk, 1, coordinator.deadline(world.desk))
    assert world.time.clock() >= 30
    assert answers == {"1": "replied", "2": "training", "3": "training"}
    with pytest.raises(QuorumNotMet, match=r"1 reply and the quorum is 2 .*host-2: training"):
        coordinator.require_quorum(world.desk, 1, answers)


def test_of_more_replies_than_fit_the_others_wait_for_the_next_round(tmp_path) -> None:
    world = Buffered(tmp_path)
    world.fresh(1, _1=1, _2=2, _3=3)
    world.close(1)
    assert combined_of(world.desk, 1).absent == {"3": "waiting"}
    world.send("3", 3, trained_in=1, number=2)
    world.fresh(2, _1=1)
    world.close(2)
    assert set(combined_of(world.desk, 2).weights) == {"1", "3"}


def test_the_oldest_training_is_taken_first(tmp_path) -> None:
    world = Buffered(tmp_path)
    world.fresh(1, _1=1, _2=2)
    world.close(1)
    world.send("3", 3, trained_in=1, number=2)
    world.fresh(2, _1=1, _2=2)
    world.close(2)
    assert set(combined_of(world.desk, 2).weights) == {"1", "3"}


def test_a_reply_that_cannot_count_does_not_close_a_round(tmp_path) -> None:
    world = Buffered(tmp_path)
    world.fresh(1, _1=float("nan"), _2=2)
    answers = coordinator.gather(world.desk, 1, world.time.clock())
    assert answers == {"1": "not_finite", "2": "replied", "3": "training"}
    world.fresh(1, _3=3)
    world.close(1)
    assert combined_of(world.desk, 1).absent == {"1": "not_finite"}


def test_who_is_in_a_round_is_decided_once(tmp_path) -> None:
    world = Buffered(tmp_path)
    world.fresh(1, _2=2, _3=3)
    world.close(1)
    world.fresh(1, _1=1)
    answers = {"1": "training", "2": "replied", "3": "replied"}
    assert coordinator.gather(world.desk, 1) == answers


def test_fedbuff_weighs_a_late_update_by_its_staleness_and_the_whole_by_patients(tmp_path) -> None:
    world = Buffered(tmp_path, staleness_exponent=0.5)
    for number in (1, 2, 3):
        world.fresh(number, _1=1, _2=1)
        world.close(number)
    world.send("3", 8, trained_in=1, number=4)
    world.fresh(4, _1=1)
    new = world.close(4)
    # Three rounds of the mean of 1 and 1; then 10 patients each, of the old one (1 + 3)^-0.5.
    expected = 3.0 + (10 * 1 + 10 * (1 + 3) ** -0.5 * 8) / 20
    assert np.array_equal(new["weight"], model(expected)["weight"])
    result = coordinator.records(world.desk)[3].parties
    assert (result["3"].staleness, result["1"].staleness) == (3, 0)


def test_fedasync_mixes_the_partys_own_model_into_the_present_one(tmp_path) -> None:
    world = Buffered(
        tmp_path, strategy="fedasync", buffer_size=None, mixing=0.5, staleness_exponent=1
    )
    world.fresh(1, _1=4)
    assert np.array_equal(world.close(1)["weight"], model(0.5 * 0 + 0.5 * 4)["weight"])
    world.send("2", 10, trained_in=1, number=2)
    new = world.close(2)
    share = 0.5 * (1 + 1) ** -1
    assert np.array_equal(new["weight"], model((1 - share) * 2 + share * 10)["weight"])


def test_an_update_beyond_the_greatest_staleness_is_refused(tmp_path) -> None:
    world = Buffered(tmp_path, max_staleness=1)
    for number in (1, 2):
        world.fresh(number, _1=1, _2=1)
        world.close(number)
    world.send("3", 8, trained_in=1, number=3)
    world.fresh(3, _1=1, _2=1)
    world.close(3)
    assert combined_of(world.desk, 3).absent == {"3": "too_stale"}


def test_scores_are_waited_for_from_those_that_keep_pace_alone(tmp_path) -> None:
    world = Buffered(tmp_path, max_staleness=9)
    world.fresh(1, _1=1, _2=1)
    world.close(1)
    world.send("3", 1, trained_in=1, number=2)
    world.fresh(2, _1=1)
    world.close(2)
    # One round missed, and two rounds hold more replies than there are parties.
    assert coordinator.scorers(world.desk, 2) == ["1", "3"]
    world.fresh(3, _1=1, _2=1)
    world.close(3)
    world.fresh(4, _1=1, _2=1)
    world.close(4)
    world.send("3", 1, trained_in=3, number=5)
    world.fresh(5, _1=1)
    world.close(5)
    assert coordinator.scorers(world.desk, 5) == ["1"]


def test_scores_of_a_party_that_is_not_waited_for_are_taken_if_they_are_there(tmp_path) -> None:
    world = Buffered(tmp_path)
    world.fresh(1, _1=1, _2=1)
    answers = coordinator.gather(world.desk, 1)
    combined = coordinator.combine(world.desk, 1, answers)
    for party, right in (("1", 3), ("3", 1)):
        world.score(1, party, combined.model.sha256, right=right, wrong=4 - right)
    record = coordinator.record(world.desk, 1, 1.0)
    assert (record.parties["3"].status, record.parties["3"].accuracy) == ("training", 0.25)
    assert record.accuracy == 0.5


def statistics(variance: float, weight: float) -> Params:
    """A model with a layer's running variance."""
    return {
        "norm.running_var": np.full(2, variance, np.float32),
        "weight": np.full(2, weight, np.float32),
    }


def test_a_late_running_variance_counts_as_what_it_is_and_stays_one(tmp_path) -> None:
    world = ByHand(tmp_path, strategy="fedbuff", buffer_size=1, quorum=1, staleness_exponent=0)
    first = world.open(statistics(1.0, 0.0))
    world.reply(first, "1", statistics(-0.9, 1.0))
    combined = coordinator.combine(world.desk, 1, coordinator.gather(world.desk, 1))
    second = coordinator.invite(world.desk, 2, combined.model)
    ref = sealed.reference(keys.update("2", RUN, 1), codec.encode(statistics(-0.8, 1.0)))
    world.store.put_once(ref.key, codec.encode(statistics(-0.8, 1.0)))
    changes = {"trained_in": 1, "base": first.weights.sha256, "update": ref}
    world.reply(second, "2", b"-", changes=changes)
    combined = coordinator.combine(world.desk, 2, coordinator.gather(world.desk, 2))
    new = codec.decode(sealed.fetch(world.store, combined.model))
    # The present 0.1 less the late 0.8 would be no variance; the party's own is 0.2.
    assert np.allclose(new["norm.running_var"], 0.2, rtol=1e-6)
    assert np.array_equal(new["weight"], np.full(2, 2.0, np.float32))


@pytest.mark.parametrize("fields", [{"strategy": "fedavg"}, {"strategy": "median", "hostile": 0}])
def test_an_update_that_takes_a_running_variance_below_zero_is_refused(fields, tmp_path) -> None:
    world = ByHand(tmp_path, **fields)
    invitation = world.open(statistics(1.0, 0.0))
    for party, variance in (("1", 0.5), ("2", -1.5), ("3", -1.0)):
        world.reply(invitation, party, statistics(variance, 1.0))
    new = world.combine()
    assert combined_of(world.desk, 1).absent == {"2": "negative_variance"}
    assert (new["norm.running_var"] >= 0).all()


def test_a_buffer_larger_than_the_federation_is_refused_at_the_founding(tmp_path) -> None:
    with pytest.raises(TaskFileError, match=r"federation\.buffer_size is 4.*3 parties"):
        Buffered(tmp_path, buffer_size=4)


@pytest.mark.parametrize(
    ("strategy", "least"), [("krum", 5), ("multi_krum", 5), ("trimmed_mean", 5), ("median", 5)]
)
def test_more_hostile_parties_than_a_strategy_withstands_are_refused_at_the_founding(
    strategy, least, tmp_path
) -> None:
    hostile = 1 if "krum" in strategy else 2
    world = ByHand(tmp_path, strategy=strategy, hostile=hostile, quorum=None)
    with pytest.raises(TaskFileError, match=rf"hostile is {hostile}.*{strategy} needs {least}"):
        coordinator.found(world.desk)


def test_a_robust_round_with_too_few_admitted_updates_is_void(tmp_path) -> None:
    world = ByHand(tmp_path, strategy="median", hostile=1, quorum=3)
    invitation = world.open()
    for party, value in (("1", 1), ("2", float("nan")), ("3", 3)):
        world.reply(invitation, party, update(value))
    with pytest.raises(QuorumNotMet, match=r"2 replies and the quorum is 3.*not_finite"):
        world.combine()


def test_a_robust_strategy_gives_each_party_one_vote(tmp_path) -> None:
    world = ByHand(tmp_path, strategy="median", hostile=1, quorum=3)
    world.patients["3"] = 1_000_000
    invitation = world.open()
    for party, value in (("1", 1), ("2", 2), ("3", 30)):
        world.reply(invitation, party, update(value))
    assert np.array_equal(world.combine()["weight"], model(2.0)["weight"])
    assert combined_of(world.desk, 1).weights == {"1": 1.0, "2": 1.0, "3": 1.0}


def test_fedasync_with_mixing_one_takes_the_partys_model(tmp_path) -> None:
    world = Buffered(tmp_path, strategy="fedasync", buffer_size=1, mixing=1)
    rule = rule_for(world.task.federation)
    rule.add(Contribution("1", 3.0, update(0.3)))
    new = rule.finish(model(0.1), {}).model
    assert np.array_equal(new["weight"], model(0.1)["weight"] + update(0.3)["weight"])
