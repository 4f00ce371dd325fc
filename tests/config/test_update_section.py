"""The task file's section `update`: which ways down fit which codec."""

from __future__ import annotations

import pytest
from test_task_file import changed, refusal

from fedcore.config.task import parse_task_file

MISTAKES = [
    ({"model": "half"}, "update.model is 'half': write 'full' or 'step'"),
    (
        {"model": "step"},
        "update.model is 'step': a step by float32 is as large as the model: write codec bfloat16",
    ),
    (
        {"codec": "topk", "model": "step"},
        "update.model is 'step': what topk leaves out of a step nobody would add later: write",
    ),
]


@pytest.mark.parametrize(("section", "sentence"), MISTAKES)
def test_a_step_that_saves_nothing_or_is_biased_is_refused_in_one_sentence(section, sentence):
    assert refusal(changed("update", section)).startswith(f"task.yaml: {sentence}")


@pytest.mark.parametrize("codec", ["bfloat16", "int8"])
def test_models_come_whole_unless_a_step_is_asked_for(codec):
    read = [
        parse_task_file(changed("update", section), "").update.model
        for section in ({}, {"codec": codec}, {"codec": codec, "model": "step"})
    ]
    assert read == ["full", "full", "step"]
