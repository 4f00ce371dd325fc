"""Labels from folders, files and attributes; every mistake is one sentence with a remedy."""

from __future__ import annotations

import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_story import dicom, noise, picture, task_file, two_classes, write

from fedcore.data.cohort import survey_folder
from fedcore.errors import DataError


@pytest.fixture
def folder(tmp_path):
    return two_classes(tmp_path / "data", 6)


def complaint(folder, tmp_path, **data) -> str:
    with pytest.raises(DataError) as refused:
        survey_folder(folder, task_file(**data), tmp_path / "state")
    message = str(refused.value)
    assert "\n" not in message
    return message


def table(folder, text: str) -> None:
    (folder / "labels.csv").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,label\n", ["labels.csv", "no image"]),
        ("file,klass\nA/p000.png,A\n", ["labels.csv", "'label' is missing", "klass"]),
        ("name,label\nA/p000.png,A\n", ["labels.csv", "'file' or 'SOPInstanceUID'", "name"]),
        ("file,label\nA/p000.png,\n", ["row 1", "label is empty"]),
        ("file,label\n,A\n", ["row 1", "file is empty"]),
        ("file,label\nA/p000.png,A\nA/gone.png,B\n", ["row 2", "A/gone.png", "no such image"]),
        ("file,label,split\nA/p000.png,A,hold\n", ["row 1", "split", "hold", "validation"]),
        ("file,label\nA/p000.png,A\nA/p000.png,B\n", ["row 2", "'B'", "row 1"]),
        ("file,label\nA/p000.png,A\n", ["labels.csv", "'A'", "num_classes is 2"]),
    ],
)
def test_a_wrong_label_file_is_explained(folder, tmp_path, text, words):
    table(folder, text)
    message = complaint(folder, tmp_path)
    assert all(word in message for word in words), message


def test_an_unknown_class_is_named_with_the_nearest(folder, tmp_path):
    table(folder, "file,label\nA/p000.png,sick\nA/p002.png,helthy\n")
    message = complaint(folder, tmp_path, classes=["healthy", "sick"])
    assert "'helthy'" in message
    assert "did you mean 'healthy'" in message


def test_a_label_file_that_is_no_text_or_no_parquet_is_explained(folder, tmp_path):
    (folder / "labels.csv").write_bytes(b"file,label\n\xff\xfe,A\n")
    assert "UTF-8" in complaint(folder, tmp_path)
    (folder / "labels.csv").unlink()
    (folder / "labels.parquet").write_bytes(b"PAR1 no")
    assert "no Parquet" in complaint(folder, tmp_path)


def test_two_label_files_or_none_are_explained(folder, tmp_path):
    assert "no label file" in complaint(folder, tmp_path, labels="file")
    table(folder, "file,label\nA/p000.png,A\n")
    (folder / "labels.parquet").write_bytes(b"")
    assert "both" in complaint(folder, tmp_path)


def test_folders_that_cannot_be_used_are_explained(tmp_path):
    empty = tmp_path / "empty"
    assert "no such data folder" in complaint(empty, tmp_path)
    empty.mkdir()
    assert "holds no image" in complaint(empty, tmp_path)
    write(empty / "bare.png", picture(noise(1)))
    assert "neither sub-folders nor a label file" in complaint(empty, tmp_path)
    write(empty / "A" / "one.png", picture(noise(2)))
    assert "num_classes is 2" in complaint(empty, tmp_path)


def test_more_classes_than_the_task_has_are_explained(folder, tmp_path):
    write(folder / "C" / "one.png", picture(noise(50)))
    assert "'A, B, C'" in complaint(folder, tmp_path)


def test_labels_are_wrong_before_any_image_is_decoded(folder, tmp_path):
    table(folder, "file,label\nA/gone.png,A\n")
    complaint(folder, tmp_path)
    assert not (tmp_path / "state").exists()


def test_one_patient_in_two_given_splits_is_refused(folder, tmp_path):
    table(folder, "file,label,patient,split\nA/p000.png,A,x,train\nB/p001.png,B,x,test\n")
    message = complaint(folder, tmp_path)
    assert "split" in message
    assert "test and train" in message


def test_an_unknown_keyword_is_explained(folder, tmp_path):
    message = complaint(folder, tmp_path, labels="attribute", label_attribute="BodyPartExamind")
    assert "BodyPartExamined" in message


def test_class_numbers_follow_the_task_file(folder, tmp_path):
    given = survey_folder(folder, task_file(), tmp_path / "s")
    turned = survey_folder(folder, task_file(classes=("B", "A")), tmp_path / "s")
    assert given.classes == ("A", "B")
    assert turned.classes == ("B", "A")
    assert np.array_equal(turned.train.labels, 1 - given.train.labels)


@pytest.mark.parametrize("separator", [",", ";"])
def test_a_label_file_wins_over_folders(folder, tmp_path, separator):
    rows = [f"A\\p{n:03d}.png,y" if n % 2 == 0 else f"B/p{n:03d}.png,n" for n in range(4)]
    table(folder, "\ufeff" + "\n".join(["File,Label", *rows]).replace(",", separator))
    cohort = survey_folder(folder, task_file(), tmp_path / "state")
    assert cohort.class_counts == {"n": 2, "y": 2}
    assert cohort.quarantine == {"no_label": 2}


def test_parquet_reads_as_csv_does(folder, tmp_path):
    names = [f"{'AB'[n % 2]}/p{n:03d}.png" for n in range(6)]
    columns = {"file": names, "label": [0.0, 1.0] * 3, "patient": [1, 1, 2, 2, None, None]}
    pq.write_table(pa.table(columns), folder / "labels.parquet")
    cohort = survey_folder(folder, task_file(), tmp_path / "state")
    assert cohort.class_counts == {"0": 3, "1": 3}
    assert cohort.patients == 4


def test_a_split_column_wins_over_the_hash_for_the_whole_patient(folder, tmp_path):
    rows = [f"{'AB'[n % 2]}/p{n:03d}.png,{'AB'[n % 2]},{n // 3},{'test' if n == 0 else ''}"
            for n in range(6)]  # fmt: skip
    table(folder, "\n".join(["file,label,patient,split", *rows]))
    cohort = survey_folder(folder, task_file(validation=0, test=0), tmp_path / "state")
    assert (len(cohort.train), len(cohort.test)) == (3, 3)


def test_folders_named_after_splits_give_the_split(tmp_path):
    for split, count in (("train", 4), ("val", 2), ("test", 6)):
        for number in range(count):
            name = f"{split}/{'AB'[number % 2]}/{split}{number}.png"
            write(tmp_path / "data" / name, picture(noise(hash_of(name))))
    cohort = survey_folder(tmp_path / "data", task_file(), tmp_path / "state")
    assert [len(cohort.train), len(cohort.validation), len(cohort.test)] == [4, 2, 6]


def test_labels_by_instance_and_by_attribute(tmp_path):
    for number in range(4):
        content = dicom(
            noise(number), SOPInstanceUID=f"1.2.{number}", PatientID=f"p{number}",
            BodyPartExamined="CHEST" if number % 2 else "HAND",
        )  # fmt: skip
        write(tmp_path / "data" / f"{number}.dcm", content)
    rules = {"labels": "attribute", "label_attribute": "BodyPartExamined"}
    cohort = survey_folder(tmp_path / "data", task_file(**rules), tmp_path / "s")
    assert cohort.class_counts == {"CHEST": 2, "HAND": 2}
    rows = [f"1.2.{number},{'ab'[number // 2]}" for number in range(4)]
    table(tmp_path / "data", "\n".join(["SOPInstanceUID,label", *rows]))
    cohort = survey_folder(tmp_path / "data", task_file(), tmp_path / "s")
    assert cohort.class_counts == {"a": 2, "b": 2}
    table(tmp_path / "data", "\n".join(["SOPInstanceUID,label", *rows, "1.2.77,a"]))
    assert "1.2.77" in complaint(tmp_path / "data", tmp_path)


def hash_of(name: str) -> int:
    return zlib.crc32(name.encode())
