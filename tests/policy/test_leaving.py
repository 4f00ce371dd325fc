"""What the policy keeps at home stays there, in a whole training; without one nothing changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from rounds_story import Time, hospitals, key_of, task_file

import fedcore
from fedcore.audit.ledger import Ledger
from fedcore.config.policy import EVERYTHING, Leaving
from fedcore.data.cohort import Cohort, open_cohort
from fedcore.exchange import keys
from fedcore.exchange.memory import MemoryStore
from fedcore.models.catalogue import build
from fedcore.rounds import coordinator, party, sealed
from fedcore.rounds.messages import End, Member, Record, Reply, Score

TASK = task_file(epochs=1)
MEMBERS = (Member(party_id="1", role="guest"), Member(party_id="2", role="host"))


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Cohort]:
    folder = tmp_path_factory.mktemp("hospitals")
    return {
        name: open_cohort(data, TASK, folder / f"state-{name}")
        for name, data in hospitals(folder).items()
    }


def train(
    folder: Path, cohorts: Mapping[str, Cohort], leaving: Leaving
) -> tuple[MemoryStore, Record, End]:
    """One round in which party 2 lets `leaving` leave."""
    store, time = MemoryStore(), Time()
    shared = {"run": "r", "task": TASK, "store": store, "watch": time.watch()}
    shared["code_version"] = fedcore.__version__

    def ledger(owner: str) -> Ledger:
        return Ledger(folder / f"{owner}.jsonl", key_of(owner), time.clock)

    lead = coordinator.Desk(
        members=MEMBERS, key=key_of("coordinator"), ledger=ledger("coordinator"), **shared
    )
    desks = []
    for member in MEMBERS:
        owner = member.party_id
        (folder / owner).mkdir()
        desk = party.Desk(
            member=member,
            key=key_of(owner),
            ledger=ledger(owner),
            cohort=cohorts[owner],
            network=build(TASK.model, TASK.seed),
            spool=folder / owner,
            **shared,
        )
        desks.append(replace(desk, leaving=leaving) if owner == "2" else desk)
    coordinator.found(lead)
    for desk in desks:
        party.join(desk)
        party.greet(desk)
    coordinator.welcome(lead)
    coordinator.invite(lead, 1, coordinator.adopt_initial_model(lead))
    for desk in desks:
        party.train(desk, 1)
        party.upload(desk, 1)
    coordinator.combine(lead, 1, {one.party: coordinator.ask(lead, 1, one.party) for one in desks})
    for desk in desks:
        party.score(desk, 1)
    record = coordinator.record(lead, 1, 0.0)
    coordinator.request_final_test(lead)
    for desk in desks:
        party.score_final(desk)
    return store, record, coordinator.conclude(lead)


def reply_of(store: MemoryStore, owner: str) -> Reply:
    return sealed.read(store, keys.reply(owner, "r", 1), Reply, key_of(owner).public)


def scores_of(store: MemoryStore, owner: str) -> list[object]:
    found = []
    for key in (keys.score(owner, "r", 1), keys.final_score(owner, "r")):
        found += sealed.read(store, key, Score, key_of(owner).public).scores.values()
    return found


def test_metrics_that_may_not_leave_are_in_no_object_of_the_party(cohorts, tmp_path) -> None:
    store, record, end = train(tmp_path, cohorts, Leaving(metrics=("loss",), min_reported=1))
    assert set(reply_of(store, "2").metrics) == {"loss"}
    assert scores_of(store, "2") == [None, None]
    everything = b"".join(store.get(key) for key in store.keys("parties/2/"))
    assert b'"accuracy"' not in everything
    assert b"confusion" not in everything
    assert record.parties["2"].accuracy is None
    assert all(scores["2"] is None for scores in end.scores.values())
    assert set(reply_of(store, "1").metrics) == {"loss", "accuracy"}
    assert None not in scores_of(store, "1")


def test_numbers_over_fewer_patients_than_the_policy_demands_stay_home(cohorts, tmp_path) -> None:
    mine = cohorts["2"]
    least = mine.validation.patients + 1
    assert min(mine.train.patients, mine.test.patients) >= least
    store, record, _ = train(tmp_path, cohorts, Leaving(min_reported=least))
    assert set(reply_of(store, "2").metrics) == {"loss", "accuracy"}
    validated, tested = scores_of(store, "2")
    assert validated is None
    assert tested is not None
    assert record.parties["2"].auroc is None


def test_without_a_policy_all_agreed_numbers_leave(cohorts, tmp_path) -> None:
    store, record, _ = train(tmp_path, cohorts, EVERYTHING)
    assert set(reply_of(store, "2").metrics) == {"loss", "accuracy"}
    assert record.parties["2"].accuracy is not None
