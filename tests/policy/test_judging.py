"""Judging a training: pure, with every reason at once, and within the bounds whatever is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_story import COORDINATOR, agreement
from rounds_story import keeping, key_of, task_file

from fedcore.config.policy import Leaving, Policy
from fedcore.config.task import TaskFile
from fedcore.rounds.consent import in_plain_words, judge, judge_cohort

OTHER = key_of("somebody").public
BOUNDS = {
    "unknown_coordinator": {"coordinators": [OTHER]},
    "update_stays": {"leaving": {"update": False}},
    "no_secure_aggregation": {"secure_aggregation": True},
    "no_differential_privacy": {"max_epsilon": 8.0},
    "model": {"models": ["resnet18"]},
    "strategy": {"strategies": ["fedprox"]},
    "rounds": {"max_rounds": 1},
    "data_folder": {"data": ["elsewhere"]},
}
names = st.sets(st.sampled_from(sorted(BOUNDS)))


def policy(*bounds: str, **more: object) -> Policy:
    content = {name: value for one in bounds for name, value in BOUNDS[one].items()}
    return Policy.model_validate({**content, **more})


@pytest.mark.parametrize("bound", BOUNDS)
def test_a_training_outside_the_bound_is_refused_as(bound, tmp_path):
    verdict = judge(policy(bound), agreement(), COORDINATOR.public, tmp_path)
    assert (verdict.decision, verdict.reason) == ("refuse", bound)
    assert verdict.sentence


@given(bounds=names, decide=st.sampled_from(["ask", "accept"]), listed=st.booleans())
def test_a_training_is_refused_exactly_if_a_bound_is_broken_and_all_reasons_are_told(
    tmp_path_factory, bounds, decide, listed
):
    agreed = agreement()
    allowed = [agreed.task_hash] if listed else []
    chosen = policy(*bounds, decide=decide, task_files=allowed)
    verdict = judge(chosen, agreed, COORDINATOR.public, tmp_path_factory.getbasetemp())
    assert {fault.reason for fault in verdict.faults} == bounds
    wanted = "accept" if listed or decide == "accept" else "ask"
    assert verdict.decision == ("refuse" if bounds else wanted)


def test_a_listed_hash_accepts_that_file_and_no_other():
    listed = Policy(task_files=(agreement().task_hash,))
    assert judge(listed, agreement(), COORDINATOR.public).decision == "accept"
    changed = agreement(task_file(lr=0.02))
    assert judge(listed, changed, COORDINATOR.public).decision == "ask"


def test_a_task_that_is_not_what_its_hash_says_is_refused():
    swapped = agreement(task=task_file(lr=0.5).model_dump(mode="json"))
    listed = Policy(decide="accept", task_files=(swapped.task_hash,))
    assert judge(listed, swapped, COORDINATOR.public).reason == "task_unreadable"
    assert judge(listed, agreement(task={}), COORDINATOR.public).reason == "task_unreadable"


def test_a_folder_may_be_read_with_all_that_lies_in_it_and_nothing_beside_it(tmp_path):
    allowed = Policy(data=(str(tmp_path / "xrays"),))
    within = judge(allowed, agreement(), COORDINATOR.public, tmp_path / "xrays" / "2026")
    beside = judge(allowed, agreement(), COORDINATOR.public, tmp_path / "xrays-old")
    around = judge(allowed, agreement(), COORDINATOR.public, tmp_path / "xrays" / ".." / "ct")
    assert [one.decision for one in (within, beside, around)] == ["ask", "refuse", "refuse"]


def test_a_link_out_of_the_folder_does_not_lead_around_the_policy(tmp_path):
    (tmp_path / "allowed").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "allowed" / "link").symlink_to(tmp_path / "secret")
    allowed = Policy(data=(str(tmp_path / "allowed"),))
    verdict = judge(allowed, agreement(), COORDINATOR.public, tmp_path / "allowed" / "link")
    assert verdict.reason == "data_folder"


def test_no_reason_names_a_folder_of_the_hospital(tmp_path):
    chosen = policy(*BOUNDS)
    verdict = judge(chosen, agreement(), COORDINATOR.public, tmp_path)
    assert str(tmp_path) not in verdict.sentence
    assert "elsewhere" not in verdict.sentence


@given(patients=st.integers(0, 100), least=st.integers(1, 100))
def test_a_small_cohort_is_refused_without_saying_how_small(patients, least):
    verdict = judge_cohort(Policy(min_cohort=least), patients)
    assert verdict.decision == ("accept" if patients >= least else "refuse")
    assert verdict.reason == ("" if patients >= least else "small_cohort")


def test_plain_words_say_what_leaves_and_at_what_count():
    task = task_file(clip_norm=2.5)
    plain = in_plain_words(agreement(task), task, Leaving(metrics=("loss",), min_reported=7))
    text = "\n".join(plain.lines())
    assert "clipped to the norm 2.5" in text
    assert "the training's loss, over at least 7 patients" in text
    assert "histograms" not in text
    assert "by this hospital's policy: accuracy, scores, statistics" in text
    assert "guest-1, host-2" in text


@pytest.mark.parametrize(
    ("rounds", "said"),
    [
        (0, "the coordinator removes it from the exchange once its round is done"),
        (3, "the coordinator removes it from the exchange 3 rounds later"),
        (None, "it stays in the exchange"),
    ],
)
def test_plain_words_say_how_long_an_update_lies_in_the_exchange(rounds, said):
    task = keeping(task_file(), rounds)
    (update,) = (
        one for one in in_plain_words(agreement(task), task, Leaving()).leaves if "update" in one
    )
    assert update.endswith(f"; {said}")


def cross_checked() -> TaskFile:
    content = task_file().model_dump(mode="json") | {"evaluation": {"cross_site": True}}
    return TaskFile.model_validate(content)


def test_no_other_hospital_receives_a_local_model_unless_the_policy_says_so():
    agreed = agreement(cross_checked())
    refused = judge(Policy(), agreed, COORDINATOR.public)
    assert (refused.decision, refused.reason) == ("refuse", "local_model_stays")
    assert "leaving.local_model" in refused.sentence
    allowed = Policy(leaving=Leaving(local_model=True))
    assert judge(allowed, agreed, COORDINATOR.public).decision == "ask"
    assert judge(Policy(), agreement(), COORDINATOR.public).decision == "ask"


def test_plain_words_say_how_many_parties_a_round_draws():
    task = task_file(participation=0.5)
    (runs,) = (
        one for one in in_plain_words(agreement(task), task, Leaving()).runs if "up to" in one
    )
    assert runs.startswith("up to 2 rounds by fedavg with 1 of the 2 parties, drawn by chance, in")


def test_plain_words_say_that_other_hospitals_get_the_local_model():
    task = cross_checked()
    plain = in_plain_words(agreement(task), task, Leaving(local_model=True))
    assert any("TO EVERY OTHER HOSPITAL" in sentence for sentence in plain.leaves)
    plain = in_plain_words(agreement(), task_file(), Leaving())
    assert not any("OTHER HOSPITAL" in sentence for sentence in plain.leaves)


@pytest.mark.parametrize(
    ("federation", "said"),
    [
        ({"strategy": "fedbn"}, "BatchNorm's weights and running statistics"),
        ({"strategy": "fedper"}, "the network's head (its last layer)"),
        ({"strategy": "ditto"}, "this hospital's personal model"),
        ({"finetune_epochs": 2}, "this hospital's personal model"),
        ({"batch_norm": "local"}, "BatchNorm's running statistics"),
    ],
)
def test_plain_words_say_what_of_the_network_stays(federation, said):
    task = task_file(**federation)
    assert said in in_plain_words(agreement(task), task, Leaving()).stays


@pytest.mark.parametrize("level", ["none", "counts", "full"])
def test_plain_words_say_which_statistics_leave(level):
    task = task_file()
    data = task.data.model_copy(update={"statistics": level, "min_reported": 6})
    task = task.model_copy(update={"data": data})
    leaves = "\n".join(in_plain_words(agreement(task), task, Leaving()).leaves)
    assert ("once, before the training" in leaves) == (level != "none")
    assert ("each number over at least 6 patients" in leaves) == (level != "none")
    assert ("pixel values" in leaves) == (level == "full")
    kept = in_plain_words(agreement(task), task, Leaving(metrics=("loss", "accuracy", "scores")))
    assert "before the training" not in "\n".join(kept.leaves)
    assert "by this hospital's policy: statistics" in kept.stays
