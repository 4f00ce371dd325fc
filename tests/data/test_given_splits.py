"""A split file in the party's folder decides who is tested; nothing else enters the test split."""

from __future__ import annotations

import pytest
from data_story import task_file, two_classes

from fedcore.data.cohort import open_cohort
from fedcore.data.intake import list_files
from fedcore.errors import DataError

TASK = {"split_file": "splits.csv", "min_patients": 1, "require_all_classes": False}


@pytest.fixture
def folder(tmp_path):
    return two_classes(tmp_path / "data", 24)


def opened(folder, tmp_path, text, **rules):
    (folder / "splits.csv").write_text(text)
    return open_cohort(folder, task_file(**(TASK | rules)), tmp_path / "state")


def paths(folder):
    return [file.path for file in list_files(folder)]


def test_the_named_images_and_no_others_are_tested(folder, tmp_path):
    named = paths(folder)[:5]
    rows = "\n".join(f"{path},test" for path in named)
    cohort = opened(folder, tmp_path, f"file,split\n{rows}\n")
    plain = open_cohort(folder, task_file(), tmp_path / "state")
    assert len(cohort.test) == 5
    assert (
        len(cohort.train) + len(cohort.validation)
        == len(plain.train) + len(plain.validation) + len(plain.test) - 5
    )
    assert cohort.contract_hash != plain.contract_hash


def test_every_split_can_be_given(folder, tmp_path):
    names = ("train", "validation", "test")
    rows = "\n".join(f"{path};{names[n % 3]}" for n, path in enumerate(paths(folder)))
    cohort = opened(folder, tmp_path, f"file;split\n{rows}\n")
    assert {len(part) for part in (cohort.train, cohort.validation, cohort.test)} == {8}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,split\nnowhere.png,test\n", "splits.csv row 1: file is 'nowhere.png'"),
        ("file,split\nA/0.png,exam\n", "split is 'exam': use train, validation or test"),
        ("file,place\nA/0.png,test\n", "the column 'split' is missing"),
        ("name,split\nA/0.png,test\n", "no column says which image is meant"),
        ("patient,split\n,test\n", "names neither an image nor a patient"),
        ("patient,split\np,test\np,train\n", "row 2: an earlier row gives the same another split"),
    ],
)
def test_a_file_that_cannot_be_followed_is_refused_in_one_sentence(folder, tmp_path, text, said):
    with pytest.raises(DataError) as refused:
        opened(folder, tmp_path, text)
    assert said in str(refused.value)


def test_a_file_that_the_task_names_must_be_there(folder, tmp_path):
    with pytest.raises(DataError, match=r"data\.split_file is 'splits\.csv': there is no such"):
        open_cohort(folder, task_file(**TASK), tmp_path / "state")
