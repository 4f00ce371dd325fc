"""Heads in signed records, the coordinator's ledger in the exchange: one chain on any machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rounds_story import RUN, ByHand, key_of, model, task_file
from worlds import opened, world

from fedcore.audit.entry import Entry, Head
from fedcore.audit.ledger import Ledger, verify
from fedcore.data.cohort import Cohort
from fedcore.errors import LedgerBroken
from fedcore.exchange import keys
from fedcore.exchange.memory import MemoryStore
from fedcore.rounds import coordinator
from fedcore.rounds.coordinator.ledger_parts import lines_of, published
from fedcore.rounds.messages import Invitation, LedgerHead, Record
from fedcore.simulation import Outcome, World, simulate_cohorts

GOOD = {"count": np.array(0, np.int64), "weight": np.ones(4, np.float32)}
ROUNDS = 3


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Cohort]:
    return opened(tmp_path_factory.mktemp("hospitals"))


@pytest.fixture(scope="module")
def trained(cohorts, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Outcome]:
    place = world(tmp_path_factory.mktemp("world"))
    return place, simulate_cohorts(task_file(epochs=ROUNDS), cohorts, place)


def as_head(head: LedgerHead) -> Head:
    return Head(head.index, head.hash)


def test_every_record_holds_a_head_of_every_ledger_that_is_in_it(trained) -> None:
    _, outcome = trained
    for said in (*outcome.records, outcome.end):
        assert set(said.ledgers) == {"coordinator", "1", "2"}
        for owner, head in said.ledgers.items():
            name = owner if owner == "coordinator" else f"party-{owner}"
            ledger = outcome.ledgers[name]
            verify(ledger.path, key_of(name).public, as_head(head))


@pytest.mark.parametrize("owner", ["coordinator", "1", "2"])
def test_heads_only_move_on_and_cover_the_ledger_up_to_the_test_scores(trained, owner) -> None:
    _, outcome = trained
    heads = [said.ledgers[owner].index for said in (*outcome.records, outcome.end)]
    assert heads == sorted(set(heads))
    name = owner if owner == "coordinator" else f"party-{owner}"
    beyond = outcome.ledgers[name].entries()[heads[-1] + 1 :]
    # What no head can cover is the departure of the very message that carries the last one.
    assert [entry.subject.get("object") for entry in beyond] == (
        [] if owner == "coordinator" else ["test scores"]
    )


@pytest.mark.parametrize("owner", ["coordinator", "1", "2"])
def test_a_tail_that_was_cut_and_written_anew_is_found_by_every_later_record(
    trained, owner, tmp_path
) -> None:
    _, outcome = trained
    name = owner if owner == "coordinator" else f"party-{owner}"
    lines = [entry.line for entry in outcome.ledgers[name].entries()]
    known = as_head(outcome.records[0].ledgers[owner])
    path = tmp_path / "anew.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines[: known.index]))
    anew = Ledger(path, key_of(name), lambda: 9.0)
    for entry in outcome.ledgers[name].entries()[known.index :]:
        anew.append(entry.kind, entry.subject)
    for said in (*outcome.records, outcome.end):
        with pytest.raises(LedgerBroken):
            verify(path, key_of(name).public, as_head(said.ledgers[owner]))


def test_the_parts_in_the_exchange_are_the_coordinators_ledger_line_by_line(trained) -> None:
    place, outcome = trained
    parts = published(place.store, outcome.end.run)
    assert len(parts) == 1 + ROUNDS + 1
    own = [entry.line for entry in outcome.ledgers["coordinator"].entries()]
    assert lines_of(place.store, parts) == own


def elsewhere(world: ByHand, folder: Path) -> coordinator.Desk:
    """The same coordinator on another machine: its key, and no file."""
    ledger = Ledger(folder / "elsewhere.jsonl", key_of("coordinator"), lambda: 77.0)
    return replace(world.desk, ledger=ledger, memory={})


def play(world: ByHand, invitation: Invitation) -> Record:
    for party in world.parties:
        world.reply(invitation, party, GOOD)
    world.combine(invitation.round)
    return coordinator.record(world.desk, invitation.round, 0.0)


def test_a_coordinator_on_another_machine_takes_the_ledger_over_before_it_writes(tmp_path) -> None:
    world = ByHand(tmp_path)
    record = play(world, world.open())
    before = [entry.line for entry in world.desk.ledger.entries()]
    world.desk = elsewhere(world, tmp_path)
    coordinator.found(world.desk)
    assert [entry.line for entry in world.desk.ledger.entries()] == before
    assert world.desk.public_key("2") == key_of("2").public
    second = play(world, coordinator.invite(world.desk, 2, record.model))
    head = as_head(second.ledgers["coordinator"])
    assert head == world.desk.ledger.head()
    entries = verify(world.desk.ledger.path, key_of("coordinator").public, head)
    assert [entry.line for entry in entries[: len(before)]] == before


def test_a_file_from_an_old_backup_is_brought_up_to_what_was_published(tmp_path) -> None:
    world = ByHand(tmp_path)
    play(world, world.open())
    whole = world.desk.ledger.path.read_bytes()
    path = tmp_path / "elsewhere.jsonl"
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    world.desk = elsewhere(world, tmp_path)
    coordinator.found(world.desk)
    assert path.read_bytes() == whole


def test_a_ledger_that_went_another_way_is_not_continued(tmp_path) -> None:
    world = ByHand(tmp_path)
    play(world, world.open())
    desk = elsewhere(world, tmp_path)
    desk.ledger.append("training_opened", {"run": RUN})
    with pytest.raises(LedgerBroken, match="move the file aside"):
        coordinator.found(desk)
    assert len(desk.ledger.entries()) == 1


def test_of_two_coordinators_with_two_ledgers_the_second_ends_at_the_first_part(tmp_path) -> None:
    world = ByHand(tmp_path)
    coordinator.found(world.desk)
    other = elsewhere(world, tmp_path)
    coordinator.found(other)
    for party in world.parties:
        world.hello(party, model())
    for desk in (world.desk, other):
        coordinator.welcome(desk)
    coordinator.adopt_initial_model(world.desk)
    weights = coordinator.adopt_initial_model(other)
    invitation = coordinator.invite(world.desk, 1, weights)
    coordinator.invite(other, 1, weights)
    first, world.desk = world.desk, other
    with pytest.raises(LedgerBroken, match="keep only one of them running"):
        play(world, invitation)
    assert not world.store.exists(keys.record(RUN, 1))
    world.desk = first
    record = coordinator.record(first, 1, 0.0)
    assert as_head(record.ledgers["coordinator"]) == first.ledger.head()


def test_a_published_part_that_somebody_forged_is_not_taken_over(tmp_path) -> None:
    world = ByHand(tmp_path)
    play(world, world.open())
    forged = MemoryStore()
    for key in world.store.keys(""):
        body = world.store.get(key)
        if key == keys.ledger_part(RUN, 1):
            body = body.replace(b'"kind":"update_admitted"', b'"kind":"update_forgotten"')
        forged.put_once(key, body)
    desk = replace(elsewhere(world, tmp_path), store=forged)
    with pytest.raises(LedgerBroken):
        coordinator.found(desk)
    assert desk.ledger.entries() == []


def test_a_party_whose_ledger_went_back_is_written_down(tmp_path) -> None:
    world = ByHand(tmp_path)
    invitation = world.open()

    def head(index: int, digit: str) -> dict[str, object]:
        return {"ledger": LedgerHead(index=index, hash=digit * 64)}

    for party in world.parties:
        world.reply(invitation, party, GOOD, changes=head(5, "a"))
    world.combine()
    first = coordinator.record(world.desk, 1, 0.0)
    assert first.ledgers["2"].index == 5
    following = coordinator.invite(world.desk, 2, first.model)
    world.reply(following, "1", GOOD, changes=head(8, "b"))
    world.reply(following, "2", GOOD, changes=head(5, "b"))
    world.reply(following, "3", GOOD, changes=head(3, "c"))
    world.combine(2)
    second = coordinator.record(world.desk, 2, 0.0)
    assert second.ledgers["1"] == LedgerHead(index=8, hash="b" * 64)
    assert second.ledgers["2"] == second.ledgers["3"] == LedgerHead(index=5, hash="a" * 64)
    noted = [subject for kind, subject in world.desk.ledger.story() if kind == "ledger_went_back"]
    assert noted == [
        {"party": "2", "round": 2, "index": 5},
        {"party": "3", "round": 2, "index": 3},
    ]


def test_repeating_a_step_shows_the_same_head(cohorts, trained, tmp_path) -> None:
    place, outcome = trained
    before = {key: place.store.get(key) for key in place.store.keys("")}
    again = simulate_cohorts(task_file(epochs=ROUNDS), cohorts, place)
    assert {key: place.store.get(key) for key in place.store.keys("")} == before
    assert again.end == outcome.end


def test_entries_of_parts_can_be_read_one_by_one(trained) -> None:
    place, outcome = trained
    for line in lines_of(place.store, published(place.store, outcome.end.run)):
        assert Entry.read(line).line == line
