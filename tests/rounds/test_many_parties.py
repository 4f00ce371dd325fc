"""Rounds of very many parties: the ledger names them all, and what is said of all is read."""

from __future__ import annotations

import pytest
from rounds_story import RUN, ByHand, key_of, model

from fedcore.audit.ledger import verify
from fedcore.errors import QuorumNotMet, Refused
from fedcore.exchange import keys
from fedcore.exchange.memory import MemoryStore
from fedcore.rounds import coordinator, sealed
from fedcore.rounds.coordinator.asking import invitation_of
from fedcore.rounds.messages import Combined, ObjectRef

LONGEST = tuple(f"{number:05d}-{'h' * 26}" for number in range(700))  # no id may be longer
FEW = ("1", "2", "3")
REF = ObjectRef(key=keys.numbered_model(RUN, 1, "a" * 64), sha256="a" * 64, size=1)


def named(story: ByHand, kind: str, field: str = "parties") -> list[list[str]]:
    """What entries of that kind name, an entry after the other."""
    return [list(entry.subject[field]) for entry in story.desk.ledger.of_kind(kind)]


@pytest.fixture(scope="module")
def crowd(tmp_path_factory) -> ByHand:
    story = ByHand(tmp_path_factory.mktemp("crowd"), LONGEST, quorum=2)
    story.open()
    return story


def test_few_parties_are_named_in_one_entry(tmp_path):
    story = ByHand(tmp_path, FEW)
    story.open()
    assert named(story, "training_opened") == named(story, "invited") == [list(FEW)]


@pytest.mark.parametrize("kind", ["training_opened", "invited"])
def test_more_parties_than_an_entry_holds_are_all_named_in_order_in_several(crowd, kind):
    found = named(crowd, kind)
    assert len(found) > 1
    assert [party for part in found for party in part] == list(LONGEST)
    entries = verify(crowd.desk.ledger.path, key_of("coordinator").public)
    assert entries == crowd.desk.ledger.entries()


def test_a_repeated_invitation_is_entered_once_in_all_its_parts(crowd):
    before = crowd.desk.ledger.entries()
    crowd.restart()
    standing = invitation_of(crowd.desk, 1)
    assert coordinator.invite(crowd.desk, 1, standing.weights) == standing
    assert crowd.desk.ledger.entries() == before


def test_a_void_round_of_many_says_of_each_why_and_a_person_reads_of_a_few(crowd):
    answers = dict.fromkeys(LONGEST, "late")
    with pytest.raises(QuorumNotMet, match=r"00019-h+: late, and 680 more\)") as void:
        coordinator.require_quorum(crowd.desk, 1, answers)
    assert len(str(void.value)) < 2000
    entries = crowd.desk.ledger.of_kind("round_void")
    told = {party: why for entry in entries for party, why in entry.subject["absent"].items()}
    assert told == answers


def test_a_round_that_nobody_is_absent_from_is_void_with_one_entry(tmp_path):
    story = ByHand(tmp_path, FEW, quorum=3)
    story.open()
    with pytest.raises(QuorumNotMet):
        coordinator.require_quorum(story.desk, 1, {})
    assert named(story, "round_void", "absent") == [list(FEW)]


def test_the_decision_on_ten_thousand_parties_is_read_from_the_known_coordinator_alone():
    names = [f"{number:05d}-{'h' * 26}" for number in range(10_000)]
    decision = Combined(
        run=RUN,
        round=1,
        model=REF,
        weights=dict.fromkeys(names, 1 / 3),
        updates=dict.fromkeys(names, "b" * 64),
        absent={},
    )
    store, key = MemoryStore(), keys.combined(RUN, 1)
    sealed.publish(store, key, decision, key_of("coordinator"))
    with pytest.raises(Refused, match="too_large"):
        sealed.read(store, key, Combined, None)
    with pytest.raises(Refused, match="wrong_signer"):
        sealed.read(store, key, Combined, key_of("1").public)
    assert sealed.read(store, key, Combined, key_of("coordinator").public) == decision


def test_a_combined_round_of_many_is_recorded_and_goes_on(crowd):
    weights = invitation_of(crowd.desk, 1)
    for party in LONGEST[:2]:
        crowd.reply(weights, party, model(1.0))
    now = crowd.time.clock()
    answers = {party: coordinator.ask(crowd.desk, 1, party, now) for party in LONGEST}
    combined = coordinator.combine(crowd.desk, 1, answers)
    record = coordinator.record(crowd.desk, 1, 1.0)
    assert sorted(combined.weights) == list(LONGEST[:2])
    assert len(combined.absent) == len(LONGEST) - 2
    assert record.parties.keys() == set(LONGEST)
