"""What a party's images are: said by the party file, checked before anything is started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from modality_story import crossmodal
from rounds_story import task_file

from fedcore.config.party import load_party_file
from fedcore.config.task import TaskFile
from fedcore.errors import TaskFileError
from flows.launch import Order, plan


def seats(folder: Path, task: TaskFile, guest: str | None, host: str | None):
    path = folder / "party_config.json"
    parties = {
        "local": {"role": "guest", "party_id": 1, "modality": guest},
        "remote": {"role": "host", "party_id": 2, "modality": host},
    }
    path.write_text(json.dumps(parties))
    for party in ("1", "2"):
        (folder / party).mkdir()
    laid = plan(Order(task, path, load_party_file(path), path, folder, folder / "out"))
    assert laid.coordinator is not None
    assert laid.coordinator.modality is None
    return {seat.owner: seat.modality for seat in laid.parties}


def test_each_party_has_the_modality_that_the_party_file_names(tmp_path):
    assert seats(tmp_path, crossmodal(), "ct", "xray") == {"1": "ct", "2": "xray"}


@pytest.mark.parametrize("host", [None, "mr"])
def test_a_party_without_one_or_with_an_unknown_one_is_told_so(tmp_path, host):
    with pytest.raises(TaskFileError, match=r"the task file knows ct, xray"):
        seats(tmp_path, crossmodal(), "ct", host)


def test_a_task_without_modalities_wants_none(tmp_path):
    with pytest.raises(TaskFileError, match="the task file names none"):
        seats(tmp_path, task_file(), "ct", None)
