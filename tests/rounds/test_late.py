"""Replies after the deadline: lost, or counted once in the next open round, as the task says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rounds_pair import Pair
from rounds_story import RUN, ByHand, model

from fedcore.errors import Interrupted
from fedcore.exchange import codec, keys
from fedcore.rounds import coordinator, party, sealed
from fedcore.rounds.coordinator.combining import combined_of
from fedcore.rounds.messages import Invitation

GOOD = {"count": np.array(2, np.int64), "weight": np.ones(4, np.float32)}
SLOW = {"count": np.array(2, np.int64), "weight": np.full(4, 3, np.float32)}


def second_round(world: ByHand) -> tuple[Invitation, Invitation]:
    """Round 1 closed by parties 1 and 3, party 2 having missed it; round 2 invited."""
    first = world.open()
    for name in ("1", "3"):
        world.reply(first, name, GOOD)
    world.combine()
    return first, coordinator.invite(world.desk, 2, combined_of(world.desk, 1).model)


def answer_late(world: ByHand, missed: Invitation, open_round: Invitation) -> None:
    """Party 2 answers the open round with what it trained in the missed one."""
    ref = sealed.reference(keys.update("2", RUN, missed.round), codec.encode(SLOW))
    if not world.store.exists(ref.key):
        world.store.put_once(ref.key, codec.encode(SLOW))
    changes = {"trained_in": missed.round, "base": missed.weights.sha256, "update": ref}
    world.reply(open_round, "2", b"not looked at", changes=changes)


def test_a_late_update_is_refused_where_the_task_file_discards_it(tmp_path) -> None:
    world = ByHand(tmp_path, late="discard")
    missed, now = second_round(world)
    answer_late(world, missed, now)
    world.reply(now, "1", GOOD)
    world.combine(2)
    assert combined_of(world.desk, 2).absent == {"2": "stale_base", "3": "late"}


def test_a_late_update_counts_in_the_next_round_where_the_task_file_says_so(tmp_path) -> None:
    world = ByHand(tmp_path, late="next_round")
    missed, now = second_round(world)
    answer_late(world, missed, now)
    world.reply(now, "1", GOOD)
    new = world.combine(2)
    assert set(combined_of(world.desk, 2).weights) == {"1", "2"}
    assert np.array_equal(new["weight"], model(1.0 + 2.0)["weight"])


def test_a_late_update_counts_once(tmp_path) -> None:
    world = ByHand(tmp_path, late="next_round")
    missed, now = second_round(world)
    answer_late(world, missed, now)
    world.combine(2)
    third = coordinator.invite(world.desk, 3, combined_of(world.desk, 2).model)
    answer_late(world, missed, third)
    world.reply(third, "1", GOOD)
    world.combine(3)
    assert combined_of(world.desk, 3).absent["2"] == "repeated"


def test_an_update_from_the_future_is_refused(tmp_path) -> None:
    world = ByHand(tmp_path, late="next_round")
    first = world.open()
    world.reply(first, "1", GOOD)
    world.reply(first, "2", SLOW, changes={"trained_in": 2})
    world.combine()
    assert combined_of(world.desk, 1).absent["2"] == "stale_base"


class Slow(Pair):
    """A host that trains so slowly that it misses the first round."""

    def __init__(self, folder: Path, late: str, **federation: object) -> None:
        super().__init__(folder, late=late, **federation)

    def miss_the_first_round(self) -> str:
        """The host trains on while the round closes without it; its update's SHA-256."""
        self.open()
        trained = party.train(self.desks[1], 1)
        self.answer(self.desks[0], 1)
        self.close(1)
        return trained


@pytest.mark.parametrize("late", ["discard", "next_round"])
def test_a_party_that_misses_its_round_sends_nothing_into_it(late: str, tmp_path) -> None:
    world = Slow(tmp_path, late)
    world.miss_the_first_round()
    assert party.upload(world.desks[1], 1) is None
    assert not world.store.exists(keys.update("2", RUN, 1))
    assert world.desks[1].ledger.entries()[-1].kind == "late"


def test_a_party_that_missed_a_round_answers_the_next_one_with_it_untrained(tmp_path) -> None:
    world = Slow(tmp_path, "next_round")
    trained = world.miss_the_first_round()
    party.upload(world.desks[1], 1)
    world.invite(2)
    assert party.train(world.desks[1], 2) == trained
    party.upload(world.desks[1], 2)
    world.answer(world.desks[0], 2)
    world.close(2)
    assert combined_of(world.lead, 2).updates["2"] == trained
    world.invite(3)
    assert party.train(world.desks[1], 3) != trained


def cut_off(world: Slow) -> None:
    """The host is ended in the midst of the first round's training, which closes without it."""

    def end(kind: str, done: int, total: int, loss: float | None) -> None:
        if kind == "train" and done == 1:
            raise Interrupted("the test ends it")

    with pytest.raises(Interrupted):
        party.train(replace(world.desks[1], progress=end), 1)
    world.answer(world.desks[0], 1)
    answers = coordinator.gather(world.lead, 1)
    coordinator.combine(world.lead, 1, answers)
    coordinator.record(world.lead, 1, 1.0)
    world.invite(2)


@pytest.mark.parametrize("most", [None, 0], ids=["counts", "too old"])
def test_a_training_that_is_cut_off_goes_on_although_its_round_is_over(most, tmp_path) -> None:
    federation = {"strategy": "fedbuff", "buffer_size": 1, "max_staleness": most}
    world = Slow(tmp_path / "cut", "next_round", **federation)
    whole = Slow(tmp_path / "whole", "next_round", **federation)
    for one in (world, whole):
        one.open()
    cut_off(world)
    same = party.train(world.desks[1], 2) == party.train(whole.desks[1], 1)
    assert same == (most is None)
    party.upload(world.desks[1], 2)
    assert coordinator.gather(world.lead, 2) == {"1": "training", "2": "replied"}


def test_a_party_does_not_offer_what_is_older_than_the_task_file_takes(tmp_path) -> None:
    world = Slow(tmp_path, "next_round", max_staleness=0)
    trained = world.miss_the_first_round()
    world.invite(2)
    assert party.train(world.desks[1], 2) != trained
    party.upload(world.desks[1], 2)
    world.close(2)
    assert set(combined_of(world.lead, 2).weights) == {"2"}


def test_a_party_that_missed_a_round_trains_anew_where_late_updates_are_lost(tmp_path) -> None:
    world = Slow(tmp_path, "discard")
    trained = world.miss_the_first_round()
    party.upload(world.desks[1], 1)
    world.invite(2)
    assert party.train(world.desks[1], 2) != trained
    party.upload(world.desks[1], 2)
    world.close(2)
    assert set(combined_of(world.lead, 2).weights) == {"2"}
