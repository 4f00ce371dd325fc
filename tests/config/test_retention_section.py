"""The task file's section `retention`."""

from __future__ import annotations

import pytest
from test_task_file import changed, refusal

from fedcore.config.task import parse_task_file


@pytest.mark.parametrize("value", [-1, 1.5, "all"])
def test_what_is_no_number_of_rounds_is_refused_in_one_sentence(value):
    said = refusal(changed("retention", {"keep_rounds": value}))
    assert said.startswith(f"task.yaml: retention.keep_rounds is {value!r}: ")


@pytest.mark.parametrize(("section", "rounds"), [({}, 0), ({"keep_rounds": None}, None)])
def test_nothing_stays_that_nobody_needs_unless_the_task_file_says_so(section, rounds):
    task = parse_task_file(changed("retention", section), "task.yaml")
    assert task.retention.keep_rounds == rounds
