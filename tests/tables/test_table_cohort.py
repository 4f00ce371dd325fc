"""A party's table as a cohort: rows judged, patients split, statistics of training rows alone."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import table_story as story

from fedcore.data import open_cohort
from fedcore.encoding.columns import REASONS
from fedcore.errors import ContractBroken, DataError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("age,stage\n1,i\n", "t.csv: the column 'ill' is missing: correct the file or data.table"),
        ("index,split\n0,test\n", "or name the tables in data.table.files if this is none"),
        ("age,age,stage,ill\n", "t.csv: the column 'age' stands twice"),
        ("", "t.csv: the file is no table of text"),
        ("age,stage,ill\n\xff\n", "t.csv: the file is no table of text"),
        ("age,stage,ill\n1,i,secret\n", "number of classes is 1: correct model.num_classes"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_sentence_without_a_cell(tmp_path, text, said):
    (tmp_path / "t.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError) as refused:
        story.cohort(tmp_path, story.task())
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_folder_without_a_table_says_what_is_looked_for(tmp_path):
    with pytest.raises(DataError, match=r"it holds no table \(\*.csv, "):
        story.cohort(tmp_path, story.task())


def test_rows_that_cannot_be_used_are_set_aside_with_a_reason_and_named_by_number(tmp_path):
    rows = [*story.patients(10), ("?", "i", 1), ("x", "i", 1), (1, "iv", 1), (1, "i", ""), (1, "i")]
    place = story.write(tmp_path / "t.csv", rows)
    found = story.cohort(place, story.task())
    aside = {one.path: one.reason for one in found.set_aside}
    assert aside == {
        "t.csv row 11": "missing_value",
        "t.csv row 12": "not_a_number",
        "t.csv row 13": "unknown_category",
        "t.csv row 14": "no_label",
        "t.csv row 15": "ragged",
    }
    assert (found.files, found.patients, found.unit) == (15, 10, "row")
    # The agreed drop_row does not count.
    why = "no_label 1, not_a_number 1, ragged 1, unknown_category 1"
    assert f"4 of 15 rows are set aside ({why}): data.max_quarantined" in found.faults[0]


def test_the_statistics_are_of_training_rows_alone(tmp_path):
    age = {"name": "age", "missing": "mean"}
    fields = {"features": [age, story.STAGE], "split": "column", "split_column": "part"}
    rows = [(10, "i", 0, "train"), (20, "i", 1, "train"), ("", "ii", 1, "train")]
    other = [(900, "i", 1, "test"), ("", "i", 0, "val"), (700, "iii", 1, "test")]
    header = "age,stage,ill,part"
    task = story.task(**fields)
    alone = story.cohort(story.write(tmp_path / "a" / "t.csv", rows, header), task)
    whole = story.cohort(story.write(tmp_path / "b" / "t.csv", [*rows, *other], header), task)
    assert (story.everything(alone.train) == story.everything(whole.train)).all()
    assert story.everything(whole.train)[:, 0].mean() == pytest.approx(0)
    assert story.everything(whole.validation)[0, 0] == 0  # filled with the training mean
    assert whole.split_patients == {"train": 3, "validation": 1, "test": 2}


def test_a_column_without_any_value_needs_a_fill(tmp_path):
    rows = [("", stage, ill) for _, stage, ill in story.patients(12)]
    place = story.write(tmp_path / "t.csv", rows)
    feature = {"name": "age", "missing": "median"}
    with pytest.raises(ContractBroken, match="'age' has no value in any training row"):
        open_cohort(place, story.task(features=[feature, story.STAGE]), tmp_path)
    filled = story.task(features=[{**feature, "fill": 50}, story.STAGE])
    assert open_cohort(place, filled, tmp_path).faults == ()


def test_csv_parquet_and_headerless_files_give_the_same_bits(tmp_path):
    rows = story.patients(20)
    place = story.write(tmp_path / "a" / "t.csv", rows)
    columns = {name: [row[at] for row in rows] for at, name in enumerate(["age", "stage", "ill"])}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    bare = tmp_path / "b" / "t.data"
    bare.parent.mkdir()
    bare.write_text("\n".join(f"{age};{stage};{ill}.0" for age, stage, ill in rows))
    named = story.task(header=False, columns=["age", "stage", "ill"])
    found = [
        story.cohort(place, story.task()),
        story.cohort(tmp_path / "t.parquet", story.task()),
        story.cohort(bare, named),
    ]
    for one in found[1:2]:
        assert (story.everything(one.train) == story.everything(found[0].train)).all()
    assert sorted(story.everything(found[2].train).shape) == [4, 10]
    assert found[0].class_counts == found[1].class_counts == found[2].class_counts


@pytest.mark.parametrize("split", ["exact", "stratified"])
def test_shares_are_exact_and_of_each_class_on_wish(tmp_path, split):
    rows = [(n, "i", int(n < 8)) for n in range(40)]
    found = story.cohort(story.write(tmp_path / "t.csv", rows), story.task(split=split))
    assert found.split_patients == {"train": 20, "validation": 10, "test": 10}
    if split == "stratified":
        assert [part["1"] for part in found.images.values()] == [4, 2, 2]


def test_a_patient_with_several_rows_stays_in_one_split(tmp_path):
    rows = [(n % 7, n, "i", n % 2) for n in range(35)]
    place = story.write(tmp_path / "t.csv", rows, "who,age,stage,ill")
    found = story.cohort(place, story.task(id="who", split="stratified"))
    assert sum(found.split_patients.values()) == found.patients == 7


@pytest.mark.parametrize("key", ["row", "index"])
def test_a_file_says_which_row_is_in_which_split(tmp_path, key):
    place = story.write(tmp_path / "t.csv", [(n, "i", n % 2) for n in range(6)])
    first = 1 if key == "row" else 0
    lines = [("t.csv", first + n, "test" if n in (1, 4) else "train") for n in range(5)]
    story.write(tmp_path / "s.csv", [*lines, ("other.csv", first, "test")], f"file,{key},split")
    found = story.cohort(place, story.task(split="file", split_file="s.csv", standardise="none"))
    assert story.everything(found.test)[:, 0].tolist() == [1, 4]
    assert found.quarantine == {"no_split": 1}


def test_rows_of_a_file_are_the_test_or_validation_split_and_no_others(tmp_path):
    for name, first in (("a.csv", 0), ("b-test.csv", 100), ("c-val.csv", 200)):
        story.write(tmp_path / "1" / name, [(first + n, "i", n % 2) for n in range(20)])
    named = {"test_files": "*-test.csv", "validation_files": "c-val.csv"}
    for split in ("hash", "stratified"):
        task = story.task(**named, split=split, standardise="none")
        for place in (tmp_path / "1", tmp_path / "1" / "a.csv"):
            found = story.cohort(place, task)
            parts = [found.train, found.test, found.validation]
            ages = [sorted(story.everything(one)[:, 0].tolist()) for one in parts]
            assert ages == [[*map(float, range(at, at + 20))] for at in (0, 100, 200)]


def test_without_validation_files_the_share_is_taken_from_the_other_rows(tmp_path):
    story.write(tmp_path / "1" / "a.csv", [(n, "i", n % 2) for n in range(40)])
    story.write(tmp_path / "1" / "test.csv", [(n + 100, "i", n % 2) for n in range(8)])
    found = story.cohort(tmp_path / "1", story.task(test_files="test.csv"))
    assert found.split_patients == {"train": 30, "validation": 10, "test": 8}
    assert found.train.scaling.shifts[0] < 40  # test rows take no part in the means


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"test_files": "t.csv"}, r"data\.table\.test_files is 't\.csv': there is no such file"),
        ({"validation_files": "v*"}, r"data\.table\.validation_files is 'v\*'"),
        ({"test_files": "b.*", "validation_files": "b.csv"}, r"b\.csv: its rows would be the vali"),
        ({"test_files": "b.csv", "id": "who"}, "its patient's rows are put into test and train"),
    ],
)
def test_files_of_a_split_that_are_missing_or_contradict_are_refused(named, said, tmp_path):
    for name in ("a.csv", "b.csv"):
        rows = [(f"p{n}", n, "i", n % 2) for n in range(8)]
        story.write(tmp_path / "1" / name, rows, "who,age,stage,ill")
    with pytest.raises(DataError, match=said):
        story.cohort(tmp_path / "1", story.task(**named, data={"validation": 0.0}))


def test_a_split_file_by_id_and_one_that_contradicts_itself(tmp_path):
    place = story.write(
        tmp_path / "t.csv", [(f"p{n}", n, "i", n % 2) for n in range(4)], "who,age,stage,ill"
    )
    task = story.task(id="who", split="file", split_file="s.csv")
    lines = [(f"p{n}", "test" if n > 2 else "train") for n in range(4)]
    story.write(tmp_path / "s.csv", lines, "id,split")
    assert story.cohort(place, task).split_patients["test"] == 1
    story.write(tmp_path / "s.csv", [*lines, ("p0", "test")], "id,split")
    with pytest.raises(DataError, match=r"s.csv row 5: another row says otherwise"):
        story.cohort(place, task)


def test_a_patient_in_two_splits_is_refused_by_row(tmp_path):
    rows = [("p", 1, "i", 0, "train"), ("p", 2, "i", 1, "test")]
    place = story.write(tmp_path / "t.csv", rows, "who,age,stage,ill,part")
    with pytest.raises(DataError, match=r"t.csv row 2: its patient's rows are put into"):
        story.cohort(place, story.task(id="who", split="column", split_column="part"))


def test_the_contract_is_of_contents_and_rows_that_come_later_are_left(tmp_path):
    rows, frozen = story.patients(20), tmp_path / "frozen"
    place = story.write(tmp_path / "t.csv", rows)
    first = open_cohort(place, story.task(), tmp_path, frozen=frozen)
    story.write(place, [*rows, *story.patients(4, seed=9)])
    later = open_cohort(place, story.task(), tmp_path, frozen=frozen)
    assert later.contract_hash == first.contract_hash
    assert any("4 rows came after the training began" in note for note in later.notes)
    assert story.cohort(place, story.task()).contract_hash != first.contract_hash
    story.write(place, rows[::-1])
    assert story.cohort(place, story.task()).contract_hash != first.contract_hash


def test_survival_has_times_and_events_and_refuses_neither_in_silence(tmp_path):
    rows = [(60 + n, "i", n, "dead" if n % 2 else "well") for n in range(1, 13)]
    rows += [(60, "i", -1, "dead"), (60, "i", 5, "?")]
    place = story.write(tmp_path / "t.csv", rows, "age,stage,days,state")
    found = story.cohort(place, story.task(time="days", event="state == dead"))
    assert found.classes == ("censored", "event")
    assert found.quarantine == {"bad_time": 1, "no_label": 1}
    assert found.train.labels.shape == (6, 2)
    assert set(np.concatenate([found.train.labels[:, 1], [0, 1]])) == {0.0, 1.0}


def test_every_reason_is_explained():
    text = (ROOT / "docs" / "tables.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(\w+)` \| (?:has|lacks|is)", text, re.MULTILINE)) == {*REASONS}
