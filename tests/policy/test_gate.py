"""The gate: refused once and for all on both sides, or pending until a person's word."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_story import COORDINATOR, agreement, answered_by, gate, publish
from rounds_story import RUN, key_of, task_file

from fedcore.audit.ledger import Ledger
from fedcore.errors import InputError, JobRefused
from fedcore.exchange import keys
from fedcore.exchange.memory import MemoryStore
from fedcore.rounds import sealed
from fedcore.rounds.consent import Fault, Gate, approval, read_request
from fedcore.rounds.messages import Pending, Refusal


def kinds(place: Gate) -> list[str]:
    return [kind for kind, _ in place.ledger.story()]


def approve(place: Gate, by: str = "meyer") -> None:
    """As the command does it: in a process of its own, with its own view of the ledger."""
    ledger = Ledger(place.ledger.path, key_of("2"), lambda: 0.0)
    asked = read_request(place.approvals, RUN)
    approval.approve(ledger, asked.agreement, asked.coordinator, by)


def refusal_of(place: Gate) -> Refusal:
    key = keys.refusal("2", RUN)
    return sealed.read(place.store, key, Refusal, key_of("2").public)


def test_a_refusal_is_signed_noted_and_the_same_after_every_restart(tmp_path):
    place = gate(tmp_path, models=["resnet18"])
    publish(place.store, agreement())
    for _ in range(3):
        with pytest.raises(JobRefused, match=r"refused here by policy \(model\)") as refused:
            place.consult()
        assert refused.value.reason == "model"
    assert refusal_of(place).reason == "model"
    assert kinds(place) == ["job_refused", "left"]


def test_a_refusal_stays_when_the_policy_is_opened_later(tmp_path):
    place = gate(tmp_path, models=["resnet18"])
    publish(place.store, agreement())
    with pytest.raises(JobRefused):
        place.consult()
    later = replace(place, policy=place.policy.model_copy(update={"models": None}))
    with pytest.raises(JobRefused, match="model"):
        later.consult()


def test_a_refusal_with_every_reason_fits_into_the_message(tmp_path):
    bounds = {"models": ["x" * 300], "strategies": [], "max_rounds": 1, "max_epsilon": 1}
    place = gate(tmp_path, **bounds, secure_aggregation=True, leaving={"update": False})
    publish(place.store, agreement())
    with pytest.raises(JobRefused):
        place.consult()
    assert refusal_of(place).reason == "update_stays"


def test_a_run_of_another_coordinator_is_refused(tmp_path):
    place = gate(tmp_path, decide="accept")
    publish(place.store, agreement(), signer="an impostor")
    with pytest.raises(JobRefused, match="unknown_coordinator"):
        place.consult()


def test_a_run_that_does_not_name_the_party_is_refused(tmp_path):
    place = replace(gate(tmp_path, decide="accept"), party="3")
    publish(place.store, agreement())
    with pytest.raises(JobRefused, match="not_invited"):
        place.consult()


def test_an_accepted_training_says_in_the_ledger_that_the_policy_let_it_in(tmp_path):
    place = gate(tmp_path, decide="accept")
    publish(place.store, agreement())
    assert place.consult().decision == "accept"
    assert place.consult().decision == "accept"
    (entry,) = place.ledger.story()
    about = {"run": RUN, "task": agreement().task_hash, "coordinator": COORDINATOR.public}
    assert entry == ("job_approved", {**about, "by": "policy"})


def test_a_training_waits_until_a_person_approves_and_both_sides_see_that_it_waits(tmp_path):
    said: list[str] = []
    place = gate(tmp_path, said=said)
    publish(place.store, agreement())
    assert place.consult().decision == "ask"
    waiting = answered_by(place, lambda: approve(place))
    assert waiting.await_approval() == "meyer"
    assert sealed.read(place.store, keys.pending("2", RUN), Pending, key_of("2").public).run == RUN
    assert kinds(place) == ["left", "job_approved"]
    assert said == [f"run {RUN} waits for approval: fedcore party approve {RUN}"]


def test_an_approval_counts_after_a_restart_even_if_the_notice_is_lost(tmp_path):
    place = gate(tmp_path)
    publish(place.store, agreement())
    answered_by(place, lambda: approve(place)).await_approval()
    for notice in place.approvals.iterdir():
        notice.unlink()
    again = gate(tmp_path, place.store)
    assert again.consult().decision == "accept"
    assert again.await_approval() == "meyer"


def test_nothing_is_approved_by_a_notice_that_somebody_has_edited(tmp_path):
    place = gate(tmp_path)
    publish(place.store, agreement())
    answered_by(place, lambda: approve(place)).await_approval()
    other = gate(tmp_path / "other", place.store)
    other.approvals.mkdir(parents=True)
    text = (place.approvals / f"{RUN}.json").read_text().replace('"pending"', '"approved"')
    (other.approvals / f"{RUN}.json").write_text(text)
    assert other.consult().decision == "ask"


@given(changed=st.sampled_from(["task", "coordinator"]), lr=st.floats(0.02, 1))
@settings(max_examples=15)
def test_an_approval_is_for_that_task_file_and_coordinator_alone(tmp_path_factory, changed, lr):
    folder = tmp_path_factory.mktemp("gate")
    place = gate(folder, coordinators=[COORDINATOR.public, key_of("second").public])
    publish(place.store, agreement())
    answered_by(place, lambda: approve(place)).await_approval()
    store = MemoryStore()
    signer = "second" if changed == "coordinator" else "coordinator"
    publish(store, agreement(task_file(lr=lr) if changed == "task" else None), signer)
    again = replace(place, store=store)
    assert again.consult().decision == "ask"
    assert place.consult().decision == "accept"


def test_an_approval_from_before_does_not_lead_around_a_bound_set_since(tmp_path):
    place = gate(tmp_path)
    publish(place.store, agreement())
    answered_by(place, lambda: approve(place)).await_approval()
    stricter = place.policy.model_copy(update={"max_rounds": 1})
    with pytest.raises(JobRefused, match="rounds"):
        replace(place, policy=stricter).consult()


def test_a_persons_refusal_reaches_the_coordinator_with_its_reason(tmp_path):
    place = gate(tmp_path)
    publish(place.store, agreement())

    def refuse() -> None:
        fault = Fault("by_a_person", "no ethics vote yet")
        approval.refuse(place.ledger, agreement(), COORDINATOR.public, "meyer", fault)

    with pytest.raises(JobRefused, match="refused here by meyer"):
        answered_by(place, refuse).await_approval()
    said = refusal_of(place)
    assert (said.reason, said.sentence) == ("by_a_person", "no ethics vote yet")
    with pytest.raises(InputError, match="ask for a training with a new name"):
        approve(place)


def test_a_training_that_ended_meanwhile_needs_no_word_any_more(tmp_path):
    place = gate(tmp_path)
    publish(place.store, agreement())
    with pytest.raises(JobRefused, match="too_late"):
        answered_by(place, lambda: place.store.put_once(keys.end(RUN), b"x")).await_approval()


def test_a_small_cohort_is_refused_after_the_data_were_read(tmp_path):
    place = gate(tmp_path, decide="accept", min_cohort=30)
    publish(place.store, agreement())
    place.consult()
    place.require_cohort(30)
    with pytest.raises(JobRefused, match="small_cohort"):
        place.require_cohort(29)
    assert refusal_of(place).reason == "small_cohort"
    with pytest.raises(JobRefused, match="small_cohort"):
        place.consult()


def test_nothing_that_leaves_names_a_folder_of_the_hospital(tmp_path):
    place = gate(tmp_path, data=["elsewhere"])
    publish(place.store, agreement())
    with pytest.raises(JobRefused):
        place.consult()
    everything = b"".join(place.store.get(key) for key in place.store.keys("parties/"))
    assert str(tmp_path).encode() not in everything
