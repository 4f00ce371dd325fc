"""Where the guest's public images lie: said by its command or its party file, to it alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedcore.config.party import load_party_file
from fedcore.config.task import TaskFile, parse_task_file
from fedcore.errors import DataError, TaskFileError
from flows.launch import Order, plan

TASK = {
    "task_type": "classification",
    "model": {"name": "cnn", "input_size": [1, 16, 16]},
    "federation": {"epochs": 1},
    "pretrain": {"epochs": 2},
}


def seats(
    folder: Path,
    guest: dict[str, str],
    pretrain: Path | None = None,
    stage: dict | None = TASK["pretrain"],
):
    path = folder / "party_config.json"
    parties = {
        "local": {"role": "guest", "party_id": 1, **guest},
        "remote": {"role": "host", "party_id": 2},
    }
    path.write_text(json.dumps(parties))
    for party in ("1", "2"):
        (folder / party).mkdir()
    task = TaskFile.model_validate({**TASK, "pretrain": stage})
    order = Order(
        task, path, load_party_file(path), path, folder, folder / "out", pretrain=pretrain
    )
    return {seat.owner: seat.pretrain for seat in plan(order).parties}


def test_the_party_file_names_it_relative_to_itself_and_only_the_guest_is_told(tmp_path):
    assert seats(tmp_path, {"pretrain": "public"}) == {"1": str(tmp_path / "public"), "2": None}


def test_the_command_goes_before_the_party_file(tmp_path):
    other = tmp_path / "other"
    assert seats(tmp_path, {"pretrain": "public"}, other) == {"1": str(other), "2": None}


def test_where_nobody_names_it_nothing_is_started(tmp_path):
    with pytest.raises(DataError, match=r"--pretrain, or as local\.pretrain"):
        seats(tmp_path, {})


def test_a_task_without_the_stage_needs_none(tmp_path):
    assert seats(tmp_path, {}, stage=None) == {"1": None, "2": None}


def test_class_names_of_the_stage_must_be_as_many_as_its_classes():
    text = json.dumps(TASK | {"pretrain": {"epochs": 1, "classes": ["a", "b", "c"]}})
    with pytest.raises(TaskFileError, match=r"pretrain\.classes is .*name 2 different classes"):
        parse_task_file(text, "task.yaml")
