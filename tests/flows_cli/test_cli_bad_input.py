"""Whatever is wrong with what a person typed ends in a sentence and an exit code."""

from __future__ import annotations

import pytest
from cli_story import fedcore, one_sentence, write_run

FILES = ("--party_config", "party.json", "--data", "data")
BAD = {
    "no data folder": (("data", "check", "nowhere"), "nowhere: there is no such data folder"),
    "no image": (("data", "check", "empty"), "holds no image"),
    "a file for a folder": (("data", "check", "task.yaml"), "there is no such data folder"),
    "no task file": (("train", "--config", "none.yaml", *FILES), "none.yaml: there is no such"),
    "a mistyped field": (("train", "--config", "task.yaml", *FILES), "did you mean 'model'"),
    "a broken task file": (("data", "check", "empty", "--config", "x.yaml"), "no valid YAML"),
    "no training": (("ledger", "verify"), "model_weights: no run was ever here"),
    "an unknown run": (("ledger", "show", "tarining", "--output", "out"), "did you mean 'training"),
    "a demo in a file": (("demo", "--folder", "task.yaml/demo"), "Not a directory"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_in_one_sentence_and_code_2(case, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "task.yaml").write_text("task_type: classification\nmodle: {}\n")
    (tmp_path / "x.yaml").write_text("a: [")
    write_run(tmp_path / "out", "training-1")
    arguments, expected = BAD[case]
    said = fedcore(*arguments, cwd=tmp_path)
    assert expected in one_sentence(said)
    assert said.code == 2


@pytest.mark.parametrize("arguments", [("bogus",), ("train",), ("demo", "--rounds", "0")])
def test_a_mistyped_command_line_shows_how_it_is_used(arguments):
    said = fedcore(*arguments)
    assert said.code == 2
    assert said.err.startswith("Usage: ")
    assert "Traceback" not in said.err


def test_both_forms_of_an_option_with_two_words_are_taken(tmp_path):
    for form in ("--party_config", "--party-config"):
        said = fedcore("train", "--config", "none", form, "none", "--data", "d", cwd=tmp_path)
        assert "there is no such task file" in one_sentence(said)
