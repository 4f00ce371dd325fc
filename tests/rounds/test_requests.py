"""What a party is asked next, and how few questions to the exchange it takes to know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rounds_pair import Pair
from rounds_story import RUN, ByHand, model

from fedcore.exchange import keys
from fedcore.exchange.memory import MemoryStore
from fedcore.rounds import coordinator, party
from fedcore.rounds.party.requests import ALL_EVERY, Lookout, Request
from fedcore.rounds.party.said import Said


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The questions that the store is asked: which method, for what."""
    told: list[str] = []
    for name in ("exists", "keys", "view"):
        inner = getattr(MemoryStore, name)

        def counted(self, key="", *more, _inner=inner, _name=name):
            told.append(f"{_name} {key.rpartition('/')[2] or 'rounds'}")
            return _inner(self, key, *more)

        monkeypatch.setattr(MemoryStore, name, counted)
    return told


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    pair = Pair(tmp_path, epochs=2)
    pair.open()
    return pair


def test_a_party_is_asked_for_each_step_in_turn_and_for_nothing_in_between(pair: Pair) -> None:
    guest, host = pair.desks
    heard = []

    def hear() -> None:
        request = party.next_request(guest, until=0.0)
        heard.append((request.kind, request.round) if request else None)

    for number in (1, 2):
        hear()
        pair.answer(guest, number)
        hear()
        pair.answer(host, number)
        pair.close(number)
        if number == 1:
            pair.invite(2)
    hear()
    coordinator.request_final_test(pair.lead)
    hear()
    party.score_final(guest)
    hear()
    coordinator.conclude(pair.lead)
    hear()
    expected = [("train", 1), None, ("train", 2), None, None, ("test", 0), None, ("end", 0)]
    assert heard == expected


def test_a_combined_model_is_to_be_scored_once(pair: Pair) -> None:
    guest, host = pair.desks
    for desk in pair.desks:
        pair.answer(desk, 1)
    answers = {one: coordinator.ask(pair.lead, 1, one, 0.0) for one in ("1", "2")}
    coordinator.combine(pair.lead, 1, answers)
    assert party.next_request(guest) == Request("score", 1)
    party.score(guest, 1)
    assert party.next_request(guest, until=0.0) is None
    assert party.next_request(host) == Request("score", 1)


def test_a_look_while_a_round_goes_on_is_one_question(pair: Pair, asked: list[str]) -> None:
    guest, _ = pair.desks
    pair.answer(guest, 1)
    lookout = Lookout(guest, 1)
    assert lookout.look() is None
    asked.clear()
    assert lookout.look() is None
    assert asked == ["exists combined.json"]


def after_a_round(pair: Pair) -> Lookout:
    """The guest's, which has looked once since round 1 was recorded."""
    for desk in pair.desks:
        pair.answer(desk, 1)
    pair.close(1)
    lookout = Lookout(pair.desks[0], 1)
    assert lookout.look() is None
    return lookout


def test_a_look_between_two_rounds_is_one_question(pair: Pair, asked: list[str]) -> None:
    lookout = after_a_round(pair)
    asked.clear()
    assert lookout.look() is None
    assert asked == ["exists invitation.json"]


def test_what_comes_in_turn_is_acted_on_without_another_look_at_all(
    pair: Pair, asked: list[str]
) -> None:
    guest, host = pair.desks
    pair.answer(guest, 1)
    lookout = Lookout(guest, 1)
    assert lookout.look() is None
    pair.answer(host, 1)
    answers = {one: coordinator.ask(pair.lead, 1, one, 0.0) for one in ("1", "2")}
    coordinator.combine(pair.lead, 1, answers)
    asked.clear()
    assert lookout.look() == Request("score", 1)
    assert asked == ["exists combined.json"]


def test_the_next_invitation_is_acted_on_without_another_look_at_all(
    pair: Pair, asked: list[str]
) -> None:
    lookout = after_a_round(pair)
    pair.invite(2)
    asked.clear()
    assert lookout.look() == Request("train", 2)
    assert asked == ["exists invitation.json", "view invitation.json"]


def test_who_has_slept_while_a_whole_round_went_by_looks_at_all(pair: Pair) -> None:
    guest, host = pair.desks
    pair.answer(guest, 1)
    lookout = Lookout(guest, 1)
    assert lookout.look() is None
    pair.answer(host, 1)
    pair.close(1)
    pair.invite(2)
    pair.time.pause(ALL_EVERY)
    assert lookout.look() == Request("train", 2)


def test_what_comes_out_of_turn_is_seen_within_a_second(pair: Pair, asked: list[str]) -> None:
    lookout = after_a_round(pair)
    coordinator.request_final_test(pair.lead)  # after one of two rounds
    assert lookout.look() is None
    pair.time.pause(ALL_EVERY)
    assert lookout.look() == Request("test")


def test_after_the_last_round_every_look_is_for_the_end(pair: Pair) -> None:
    guest, host = pair.desks
    for number in (1, 2):
        for desk in (guest, host):
            pair.answer(desk, number)
        pair.close(number)
        if number == 1:
            pair.invite(2)
    lookout = Lookout(guest, 2)
    assert lookout.look() is None
    coordinator.request_final_test(pair.lead)
    assert lookout.look() == Request("test")


def test_a_party_need_not_ask_whether_it_has_answered_what_has_just_come(
    pair: Pair, asked: list[str]
) -> None:
    guest, host = pair.desks
    assert party.next_request(guest, until=0.0) == Request("train", 1)
    for desk in (guest, host):
        pair.answer(desk, 1)
    assert party.next_request(guest, 1, until=0.0) is None
    answers = {one: coordinator.ask(pair.lead, 1, one, 0.0) for one in ("1", "2")}
    coordinator.combine(pair.lead, 1, answers)
    asked.clear()
    assert party.next_request(guest, 1, until=0.0) == Request("score", 1)
    assert [one for one in asked if one.startswith("exists")] == []


def test_who_starts_anew_asks_whether_it_has_answered(pair: Pair) -> None:
    guest, _ = pair.desks
    pair.answer(guest, 1)
    again = replace(guest, said=Said())
    assert party.next_request(again, until=0.0) is None
    pair.time.pause(ALL_EVERY)
    assert party.next_request(again, until=0.0) is None


def test_a_party_does_not_ask_for_what_it_has_said_itself(pair: Pair, asked: list[str]) -> None:
    guest, _ = pair.desks
    assert party.next_request(guest) == Request("train", 1)
    party.train(guest, 1)
    asked.clear()
    party.upload(guest, 1)
    assert party.next_request(guest, until=0.0) is None
    assert [one for one in asked if "reply" in one] == []


def test_who_began_before_us_and_replied_meanwhile_has_the_last_word(pair: Pair) -> None:
    guest, _ = pair.desks
    assert party.next_request(guest) == Request("train", 1)
    other = replace(guest, said=Said())
    party.train(guest, 1)
    guest.ledger.append_once("note", {"makes": "the reply's head another"})
    standing = party.upload(other, 1)
    guest.ledger.append_once("note", {"makes": "it another once more"})
    assert party.upload(guest, 1) == standing


def test_the_coordinator_reads_each_reply_and_no_model_of_its_own(
    tmp_path: Path, asked: list[str]
) -> None:
    world = ByHand(tmp_path)
    invitation = world.open()
    for number in (1, 2):
        for one in world.parties:
            world.reply(invitation, one, model(1.0))
        asked.clear()
        combined = coordinator.combine(world.desk, number, world.answers(number))
        coordinator.record(world.desk, number, 1.0)
        assert asked.count("view reply.json") == len(world.parties)
        models = [one for one in asked if one.startswith("view") and "model" in one]
        assert not models  # not even the first, which it has checked before
        invitation = coordinator.invite(world.desk, number + 1, combined.model)


def test_a_coordinator_that_starts_anew_asks_nobody_for_a_second_upload(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    inner = MemoryStore.put_once

    def noted(self, key, body) -> None:
        if key.endswith("update.safetensors"):
            sent.append(key)
        inner(self, key, body)

    monkeypatch.setattr(MemoryStore, "put_once", noted)
    for desk in pair.desks:
        pair.answer(desk, 1)
    for known in (pair.lead.memory, pair.lead.replies, pair.lead.made):
        known.clear()
    for desk in pair.desks:
        desk.said.begin(keys.reply(desk.party, RUN, 1))  # as a session that starts anew, too
        assert party.next_request(desk, until=0.0) is None
    pair.close(1)
    assert coordinator.records(pair.lead)[0].bytes_up > 0
    assert sent == [keys.update(desk.party, RUN, 1) for desk in pair.desks]
