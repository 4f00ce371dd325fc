"""What goes once its round is done, and that nothing goes which somebody still reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from failing_store import Stopping
from rounds_pair import Pair
from rounds_story import RUN, ByHand, keeping, model
from worlds import is_removed

from fedcore.errors import Conflict, Interrupted, NotAllowed, QuorumNotMet, Removed
from fedcore.exchange import codec, keys
from fedcore.exchange.memory import MemoryStore
from fedcore.rounds import coordinator, party, sealed
from fedcore.rounds.coordinator.combining import combined_of
from fedcore.rounds.messages import Invitation

GOOD = {"count": np.array(2, np.int64), "weight": np.ones(4, np.float32)}
NAMES = ("1", "2", "3")


class Played(ByHand):
    """Rounds that the test plays, with a small `retention`."""

    def __init__(self, folder: Path, rounds: int | None = 0, **more: object) -> None:
        super().__init__(folder, **more)
        self.task = keeping(self.task, rounds)
        object.__setattr__(self.desk, "task", self.task)

    def play(self, number: int, answering: tuple[str, ...] = NAMES) -> Invitation:
        """A whole round up to its record; the invitation."""
        weights = coordinator.records(self.desk)[-1].model if number > 1 else None
        invitation = coordinator.invite(self.desk, number, weights) if weights else self.open()
        for name in answering:
            self.reply(invitation, name, GOOD)
        self.combine(number)
        coordinator.record(self.desk, number, 1.0)
        return invitation

    def updates(self, number: int) -> list[bool]:
        """Of each party's update of a round, whether it was removed."""
        return [is_removed(self.store, keys.update(one, RUN, number)) for one in NAMES]

    def entries(self) -> list[tuple[int, set[str]]]:
        """What the ledger says: after which round what was removed."""
        found = [entry.subject for entry in self.desk.ledger.of_kind("removed")]
        return [(one["round"], set(one["objects"])) for one in found]


def test_updates_and_the_replaced_model_go_with_the_record_and_nothing_before(tmp_path) -> None:
    world = Played(tmp_path)
    world.play(1)
    second = coordinator.invite(world.desk, 2, coordinator.records(world.desk)[-1].model)
    for name in NAMES:
        world.reply(second, name, GOOD)
    coordinator.forget_superseded(world.desk)
    assert world.updates(1) == [True] * 3
    assert world.updates(2) == [False] * 3
    assert not is_removed(world.store, second.weights.key)
    world.combine(2)
    coordinator.forget_superseded(world.desk)
    assert world.updates(2) == [False] * 3
    coordinator.record(world.desk, 2, 1.0)
    coordinator.forget_superseded(world.desk)
    assert world.updates(2) == [True] * 3
    assert not is_removed(world.store, keys.model(RUN, 0))
    assert [number for number, _ in world.entries()] == [1, 2]


def test_what_was_removed_says_so_in_one_sentence_and_its_key_stays_taken(tmp_path) -> None:
    world = Played(tmp_path)
    invitation = world.play(1)
    coordinator.forget_superseded(world.desk)
    ref = sealed.reference(keys.update("2", RUN, 1), codec.encode(GOOD))
    said = f"^exchange: {ref.key} was removed after round 1 by the retention of the task file$"
    with pytest.raises(Removed, match=said):
        sealed.fetch(world.store, ref)
    with pytest.raises(Removed, match=said):
        sealed.fetch_to_file(world.store, ref, tmp_path / "update")
    assert not (tmp_path / "update").exists()
    world.reply(invitation, "2", GOOD)
    with pytest.raises(Conflict):
        world.reply(invitation, "2", model(7.0))


def test_the_best_model_so_far_stays_until_a_better_one_is_recorded(tmp_path) -> None:
    world = Played(tmp_path, select_by="accuracy")
    made = []
    for number, right in enumerate((5, 9, 7, 8, 10), start=1):
        weights = coordinator.records(world.desk)[-1].model if number > 1 else None
        asked = coordinator.invite(world.desk, number, weights) if weights else world.open()
        world.reply(asked, "1", GOOD)
        world.combine(number)
        made.append(combined_of(world.desk, number).model)
        world.score(number, "1", made[-1].sha256, right, 10 - right)
        coordinator.record(world.desk, number, 1.0)
        coordinator.forget_superseded(world.desk)
        there = [n for n, ref in enumerate(made, 1) if not is_removed(world.store, ref.key)]
        best = coordinator.request_final_test(world.desk).rounds["best"] if number == 5 else None
        assert there == [[1], [2], [2, 3], [2, 4], [5]][number - 1]
    assert best == 5


@pytest.mark.parametrize(
    ("rounds", "left"), [(0, []), (1, [4]), (3, [2, 3, 4]), (None, [1, 2, 3, 4])]
)
def test_the_newest_rounds_keep_what_the_task_file_says_also_after_the_end(
    rounds, left, tmp_path
) -> None:
    world = Played(tmp_path, rounds, epochs=4)
    for number in range(1, 5):
        world.play(number)
        coordinator.forget_superseded(world.desk)
    asked = coordinator.request_final_test(world.desk)
    coordinator.conclude(world.desk)
    coordinator.forget_rest(world.desk)
    assert [n for n in range(1, 5) if world.updates(n) == [False] * 3] == left
    models = [
        n for n in range(1, 5) if not is_removed(world.store, combined_of(world.desk, n).model.key)
    ]
    assert set(models) == {*left, asked.rounds["best"], asked.rounds["final"]}
    assert not is_removed(world.store, keys.model(RUN, 0))


def test_an_update_that_is_refused_goes_with_its_round_and_one_that_comes_later_at_the_end(
    tmp_path,
) -> None:
    world = Played(tmp_path, epochs=2)
    first = world.open()
    world.reply(first, "1", GOOD)
    world.reply(first, "2", {**GOOD, "weight": np.full(4, np.nan, np.float32)})
    world.combine()
    coordinator.record(world.desk, 1, 1.0)
    coordinator.forget_superseded(world.desk)
    assert combined_of(world.desk, 1).absent == {"2": "not_finite", "3": "late"}
    assert is_removed(world.store, keys.update("2", RUN, 1))
    world.reply(first, "3", GOOD)
    world.play(2)
    coordinator.forget_superseded(world.desk)
    assert world.updates(1) == [True, True, False]
    coordinator.request_final_test(world.desk)
    coordinator.conclude(world.desk)
    coordinator.forget_rest(world.desk)
    assert world.updates(1) == [True] * 3
    before = world.entries()
    coordinator.forget_rest(world.desk)
    assert world.entries() == before


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_coordinator_killed_at_every_removal_removes_the_rest_when_it_is_back(
    after, tmp_path
) -> None:
    whole = Played(tmp_path / "whole")
    cut = Played(tmp_path / "cut", store=Stopping())
    cut.store.after = after
    for number in (1, 2, 3):
        whole.play(number)
        coordinator.forget_superseded(whole.desk)
        cut.play(number)
        for _ in range(4):
            cut.store.left = 2
            try:
                coordinator.forget_superseded(cut.desk)
            except Interrupted:
                cut.restart()
        cut.store.left = -1
        coordinator.forget_superseded(cut.desk)
    assert cut.entries() == whole.entries()
    assert {key: cut.store.get(key) for key in cut.store.keys("parties/")} == {
        key: whole.store.get(key) for key in whole.store.keys("parties/")
    }


def test_a_coordinator_that_died_between_record_and_removal_catches_up(tmp_path) -> None:
    world = Played(tmp_path)
    world.play(1)
    world.play(2)
    world.restart()
    world.play(3)
    world.restart()
    coordinator.forget_superseded(world.desk)
    assert [world.updates(number) for number in (1, 2, 3)] == [[True] * 3] * 3
    ((number, objects),) = world.entries()
    assert number == 3
    assert len(objects) == 12  # nine updates, the first models of two rounds, the guest's initial


def test_a_void_round_and_all_that_it_needs_stay(tmp_path) -> None:
    world = Played(tmp_path, quorum=3)
    world.play(1)
    second = coordinator.invite(world.desk, 2, coordinator.records(world.desk)[-1].model)
    world.reply(second, "1", GOOD)
    with pytest.raises(QuorumNotMet):
        coordinator.require_quorum(world.desk, 2, world.answers(2))
    coordinator.forget_superseded(world.desk)
    assert not is_removed(world.store, second.weights.key)
    assert not is_removed(world.store, keys.update("1", RUN, 2))


class Forbidding(MemoryStore):
    """An exchange whose user may write only what is his own."""

    def forget(self, key: str, note: bytes) -> None:
        raise NotAllowed(f"exchange: {key}: no")


def test_who_may_not_remove_says_so_and_the_training_goes_on(tmp_path) -> None:
    world = Played(tmp_path, store=Forbidding())
    world.play(1)
    coordinator.forget_superseded(world.desk)
    world.play(2)
    assert world.updates(1) == [False] * 3
    assert world.entries() == []
    assert "stays in the exchange" in " ".join(world.said)


def test_what_a_late_update_starts_from_stays_until_its_party_is_heard(tmp_path) -> None:
    world = Played(tmp_path, late="next_round")
    world.play(1)
    missed = world.play(2, ("1", "3"))
    for number in (3, 4):
        world.play(number, ("1", "3"))
        coordinator.forget_superseded(world.desk)
    assert not is_removed(world.store, missed.weights.key)
    fifth = coordinator.invite(world.desk, 5, coordinator.records(world.desk)[-1].model)
    ref = sealed.reference(keys.update("2", RUN, 2), codec.encode(GOOD))
    world.store.put_once(ref.key, codec.encode(GOOD))
    changes = {"trained_in": 2, "base": missed.weights.sha256, "update": ref}
    world.reply(fifth, "2", b"not looked at", changes=changes)
    world.combine(5)
    assert set(combined_of(world.desk, 5).weights) == {"2"}
    coordinator.record(world.desk, 5, 1.0)
    coordinator.forget_superseded(world.desk)
    assert is_removed(world.store, missed.weights.key)
    assert is_removed(world.store, ref.key)


def test_with_a_greatest_staleness_what_is_older_goes_also_while_a_party_is_away(tmp_path) -> None:
    world = Played(tmp_path, late="next_round", max_staleness=1)
    asked = [world.play(1)]
    for number in range(2, 6):
        asked.append(world.play(number, ("1", "3")))
        coordinator.forget_superseded(world.desk)
    gone = [is_removed(world.store, one.weights.key) for one in asked]
    assert gone == [False, True, True, True, False]  # round 0's stays, round 5 may still be late


def test_a_party_that_missed_five_rounds_comes_back_and_goes_on(tmp_path) -> None:
    pair = Pair(tmp_path, epochs=8)
    pair.open()
    guest, host = pair.desks
    for number in range(1, 8):
        if number > 1:
            pair.invite(number)
            coordinator.forget_superseded(pair.lead)
        for desk in (guest, host) if number in (1, 7) else (guest,):
            request = party.next_request(desk, 0, until=pair.time.clock())
            assert (request.kind, request.round) == ("train", number)
            pair.answer(desk, number)
        pair.close(number)
        coordinator.record(pair.lead, number, 1.0)
    told = coordinator.records(pair.lead)[-1].parties["2"]
    assert (told.status, told.staleness) == ("admitted", 0)


def test_a_party_that_is_too_slow_for_its_round_goes_on_with_the_next(tmp_path) -> None:
    """It was asked, and what it was to start from is gone when it begins."""
    pair = Pair(tmp_path)
    pair.open()
    guest, host = pair.desks
    for number in (1, 2):
        if number > 1:
            pair.invite(number)
        pair.answer(guest, number)
        pair.close(number)
        coordinator.record(pair.lead, number, 1.0)
    pair.invite(3)
    coordinator.forget_superseded(pair.lead)
    assert party.train(host, 2) is None
    assert party.upload(host, 2) is None
    assert party.score(host, 1) is None
    assert party.train(host, 3)
    assert party.upload(host, 3) is not None
