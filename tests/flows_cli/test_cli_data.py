"""`fedcore data check`: what a hospital's engineer reads before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_story import ROOT, fedcore

from fedcore.data.phantom_looks import LOOKS
from fedcore.data.phantoms import write_party

SMALL = """task_type: classification
model: {name: cnn, input_size: [1, 16, 16], num_classes: 2}
federation: {epochs: 1}
"""


@pytest.fixture(scope="module")
def hospital(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hospital") / "10000"
    write_party(folder, LOOKS["10000"], patients=75, seed=0, size=64)
    return folder


@pytest.fixture
def task(tmp_path) -> Path:
    path = tmp_path / "task.yaml"
    path.write_text(SMALL)
    return path


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_a_folder_that_breaks_the_contract_ends_with_2_and_says_why(shared_data, task, tmp_path):
    before = sorted(shared_data.joinpath("dicom").rglob("*"))
    said = fedcore("data", "check", shared_data / "dicom", "--config", task, cwd=tmp_path)
    assert (said.code, said.err) == (2, "")
    assert "broken  data: " in said.out
    assert "of 95 files are set aside (" in said.out
    assert ["no_pixel_data", "pydicom/rtplan.dcm"] in words(said.out)
    assert sorted(shared_data.joinpath("dicom").rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["task.yaml"]


def test_a_good_folder_is_told_in_full(hospital, task):
    said = fedcore("data", "check", hospital, "--config", task)
    assert (said.code, said.err) == (0, "")
    rows = words(said.out)
    assert ["split", "patients", "NORMAL", "PNEUMONIA"] in rows
    total = next(row for row in rows if row[:1] == ["all"])
    assert total[1] == "75"
    for reason in ("not_dicom", "truncated", "duplicate", "no_pixel_data"):
        assert [reason, "1"] in rows
    assert ["conflicting_label", "2"] in rows
    assert ["not_dicom", "PNEUMONIA/export_log.dcm"] in rows
    assert ["manufacturer", "Example", "Radiography"] in [row[:3] for row in rows]
    assert ["photometric", "MONOCHROME1"] in [row[:2] for row in rows]
    assert "RLE Lossless" in said.out
    assert "ok      the data contract holds" in said.out


def test_without_a_task_file_the_published_one_is_meant(hospital):
    published = fedcore("data", "check", hospital, "--config", ROOT / "configs/federated_task.yaml")
    assert fedcore("data", "check", hospital).out == published.out


def test_what_was_read_is_kept_where_it_is_asked_for(hospital, task, tmp_path):
    arguments = ("data", "check", hospital, "--config", task, "--state", tmp_path / "kept")
    first = fedcore(*arguments)
    assert (tmp_path / "kept" / "index.sqlite").exists()
    assert fedcore(*arguments) == first


def test_a_file_name_cannot_steer_the_terminal(task, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a\x1b[2Jb.dcm").write_bytes(b"nothing")
    (folder / b"caf\xe9.dcm".decode("utf-8", "surrogateescape")).write_bytes(b"nothing")
    said = fedcore("data", "check", folder, "--config", task)
    assert "\x1b" not in said.out
    assert "Traceback" not in said.err
    assert said.code == 2
