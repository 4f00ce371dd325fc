"""The policy file: every fault is one sentence, and the template says what the defaults are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fedcore.config.policy import EVERYTHING, TEMPLATE, Leaving, Policy, Transfer, load_policy
from fedcore.errors import PolicyError

FAULTS = {
    "an unknown field": ("decides: ask", "decides is 'ask': unknown field; did you mean 'decide'"),
    "an unknown word": ("decide: maybe", "decide is 'maybe': write 'ask' or 'accept'"),
    "no list": ("models: resnet18", "models is 'resnet18': write a list"),
    "an unknown strategy": ("strategies: [fedavgg]", "did you mean 'fedavg'"),
    "no hash": ("task_files: [abc]", "64 lower-case hex digits"),
    "no key": ("coordinators: [abc]", "64 lower-case hex digits"),
    "no rounds": ("max_rounds: 0", "max_rounds is 0: write 1 or more"),
    "true as a number": ("min_cohort: true", "min_cohort is True"),
    "no epsilon": ("max_epsilon: 0", "max_epsilon is 0: write a number above 0"),
    "an unknown metric": ("leaving: {metrics: [auroc]}", "leaving.metrics.0 is 'auroc'"),
    "a window of no length": ("transfer: {window: '22:00-22:00'}", "a window needs some length"),
    "a window of no hours": ("transfer: {window: '25:00-06:00'}", "HH:MM-HH:MM"),
    "a line of no speed": ("transfer: {mbit_per_second: 0}", "above 0"),
    "no fields": ("- ask", "the file holds no fields"),
    "no YAML": ("decide: [", "no valid YAML"),
    "a field twice": ("decide: ask\ndecide: accept", "decide stands twice"),
}


def written(folder: Path, text: str) -> Path:
    path = folder / "policy.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("fault", FAULTS)
def test_a_policy_is_refused_in_one_sentence_for(fault, tmp_path):
    text, sentence = FAULTS[fault]
    with pytest.raises(PolicyError) as refused:
        load_policy(written(tmp_path, text))
    assert sentence in str(refused.value)
    assert str(refused.value).startswith(str(tmp_path / "policy.yaml"))
    assert "\n" not in str(refused.value)


def test_a_missing_policy_is_an_error_and_never_a_default(tmp_path):
    with pytest.raises(PolicyError, match="no such policy file"):
        load_policy(tmp_path / "policy.yaml")


def test_an_empty_policy_asks_about_everything(tmp_path):
    assert load_policy(written(tmp_path, "# nothing\n")) == Policy()
    assert Policy().decide == "ask"


def test_the_template_loads_to_the_defaults_and_names_every_field(tmp_path):
    assert load_policy(written(tmp_path, TEMPLATE)) == Policy()
    for section in (Policy, Leaving, Transfer):
        for name in section.model_fields:
            assert f"{name}:" in TEMPLATE, name


def test_every_line_of_the_template_that_is_commented_out_is_valid(tmp_path):
    text = re.sub(r"^#(?=(  )?\w+:)", "", TEMPLATE, flags=re.MULTILINE)
    text = text.replace("<64 hex digits>", "a" * 64)
    policy = load_policy(written(tmp_path, text))
    assert policy.max_rounds == 100
    assert policy.models == ("resnet18", "densenet121")
    assert policy.transfer.minutes == (22 * 60, 6 * 60)
    assert yaml.safe_load(text)["transfer"]["mbit_per_second"] == 20


@given(
    patients=st.integers(0, 50),
    agreed=st.integers(1, 50),
    own=st.integers(1, 50),
    kept=st.sets(st.sampled_from(["loss", "accuracy", "scores", "statistics"])),
)
def test_the_stricter_of_policy_and_task_file_holds(patients, agreed, own, kept):
    leaving = Leaving(metrics=tuple(sorted(kept)), min_reported=own)
    for name in ("loss", "accuracy", "scores", "statistics"):
        expected = name in kept and patients >= max(agreed, own)
        assert leaving.allows(name, patients, agreed) is expected


@given(patients=st.integers(0, 50), agreed=st.integers(1, 50))
def test_without_a_policy_the_task_file_alone_decides(patients, agreed):
    assert EVERYTHING.allows("scores", patients, agreed) is (patients >= agreed)
