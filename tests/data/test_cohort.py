"""The cohort: what counts, what is set aside, what the contract says, and what never changes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data_story import dicom, noise, picture, task_file, two_classes, write
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcore.data import intake
from fedcore.data.cohort import open_cohort, survey_folder
from fedcore.data.contract import contract_hash
from fedcore.data.facts import Facts, Verdict
from fedcore.data.index import FileId
from fedcore.data.intake import Known, decoding_workers
from fedcore.data.labels import Label
from fedcore.data.samples import Sample, give_splits, sort_out
from fedcore.errors import ContractBroken


@pytest.fixture
def folder(tmp_path):
    return two_classes(tmp_path / "data", 24)


def images_of(cohort) -> dict[bytes, tuple[str, int]]:
    """Pixels -> (split, label) of every image."""
    found = {}
    for name in ("train", "validation", "test"):
        images = getattr(cohort, name)
        batch = images.batch(np.arange(len(images)))
        for one, label in zip(batch, images.labels, strict=True):
            found[one.tobytes()] = (name, int(label))
    return found


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"min_patients": 500}, ["training patients is", "500"]),
        ({"max_quarantined": 0.01}, ["2 of 26 files", "0.01"]),
        ({"classes": ("A", "B", "C"), "num_classes": 3}, ["'C'", "no training image"]),
    ],
)
def test_a_broken_contract_is_said_before_any_training(folder, tmp_path, rules, words):
    for name in ("x", "y"):
        write(folder / "A" / f"{name}.png", b"no picture")
    with pytest.raises(ContractBroken) as broken:
        open_cohort(folder, task_file(**rules), tmp_path / "state")
    message = str(broken.value)
    assert "\n" not in message
    assert all(word in message for word in words), message
    assert survey_folder(folder, task_file(**rules), tmp_path / "state").faults == (message,)


def test_an_empty_validation_split_is_noted_and_does_not_break_the_contract(tmp_path):
    folder = two_classes(tmp_path / "data", 6)
    cohort = open_cohort(folder, task_file(validation=0.01, test=0), tmp_path / "state")
    assert len(cohort.validation) == 0
    assert "validation patients is 0" in cohort.notes[0]
    assert cohort.validation.batch(np.array([], np.int64)).shape == (0, 1, 16, 16)


def test_the_same_content_twice_is_used_once(folder, tmp_path):
    before = open_cohort(folder, task_file(), tmp_path / "s")
    shutil.copyfile(folder / "A" / "p000.png", folder / "A" / "z.png")
    after = open_cohort(folder, task_file(), tmp_path / "s")
    assert after.quarantine == {"duplicate": 1}
    assert [(one.path, one.reason) for one in after.set_aside] == [("A/z.png", "duplicate")]
    assert after.contract_hash == before.contract_hash


def test_the_same_content_with_two_labels_is_not_used_at_all(folder, tmp_path):
    shutil.copyfile(folder / "A" / "p000.png", folder / "B" / "p000.png")
    cohort = open_cohort(folder, task_file(), tmp_path / "s")
    assert cohort.quarantine == {"conflicting_label": 2}
    assert cohort.class_counts == {"A": 11, "B": 12}


def test_names_order_and_place_of_files_mean_nothing_where_patients_are_named(tmp_path):
    one, other = tmp_path / "one", tmp_path / "else" / "where"
    for number in range(16):
        content = dicom(noise(number), PatientID=f"p{number // 2}", SOPInstanceUID=f"1.2.{number}")
        write(one / "AB"[number % 2] / f"{number}.dcm", content)
        write(other / "AB"[number % 2] / "deep" / f"{99 - number}", content)
    first = open_cohort(one, task_file(), tmp_path / "s1")
    second = open_cohort(other, task_file(), tmp_path / "s2")
    assert first.contract_hash == second.contract_hash
    assert np.array_equal(first.train.labels, second.train.labels)
    assert images_of(first) == images_of(second)
    assert first.patients == 8


def test_a_patients_images_stay_together_and_never_move(tmp_path):
    for number in range(40):
        content = dicom(noise(number), PatientID=f"p{number // 4}", SOPInstanceUID=f"1.2.{number}")
        write(tmp_path / "data" / "AB"[number % 2] / f"{number}.dcm", content)
    before = images_of(survey_folder(tmp_path / "data", task_file(), tmp_path / "s"))
    for number in range(40, 80):
        content = dicom(noise(number), PatientID=f"p{number // 4}", SOPInstanceUID=f"1.2.{number}")
        write(tmp_path / "data" / "AB"[number % 2] / f"{number}.dcm", content)
    after = images_of(survey_folder(tmp_path / "data", task_file(), tmp_path / "s"))
    assert len(after) == 80
    assert before.items() <= after.items()


def test_every_frame_is_an_image_where_the_task_asks_for_all(tmp_path):
    for number in range(8):
        frames = np.stack([noise(number * 10 + frame) for frame in range(3)])
        content = dicom(frames, PatientID=f"p{number}", SOPInstanceUID=f"1.2.{number}")
        write(tmp_path / "data" / "AB"[number % 2] / f"{number}.dcm", content)
    cohort = survey_folder(tmp_path / "data", task_file(frame="all"), tmp_path / "s")
    assert sum(cohort.class_counts.values()) == 24
    assert cohort.patients == 8


def test_batches_come_in_the_order_asked_for_with_three_channels(tmp_path):
    folder = two_classes(tmp_path / "data", 12)
    write(folder / "A" / "colour.png", picture(noise(77, (30, 30, 3))))
    cohort = survey_folder(folder, task_file((3, 16, 16), validation=0, test=0), tmp_path / "s")
    order = np.array([5, 0, 5, 12])
    got = cohort.train.batch(order)
    assert got.shape == (4, 3, 16, 16)
    assert np.array_equal(got[0], got[2])
    assert np.array_equal(got[1], cohort.train.batch(np.array([0]))[0])
    grey = [np.array_equal(one[0], one[1]) for one in cohort.train.batch(np.arange(13))]
    assert grey.count(False) == 1


def test_progress_is_told_and_hidden_files_are_none(folder, tmp_path):
    write(folder / ".DS_Store", b"x")
    write(folder / "README.txt", b"x")
    told = []
    open_cohort(folder, task_file(), tmp_path / "s", progress=lambda *state: told.append(state))
    assert told[0] == (0, 24)
    assert told[-1] == (24, 24)


def test_few_quick_files_are_not_worth_processes(tmp_path, monkeypatch):
    def none(*_, **__):
        raise AssertionError

    monkeypatch.setattr(intake, "ProcessPoolExecutor", none)
    folder = two_classes(tmp_path / "data", 130)
    assert open_cohort(folder, task_file(), tmp_path / "s", workers=2).patients == 130


def test_worker_processes_find_what_one_process_finds(tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "WORTH_SECONDS", 0.0)
    folder = two_classes(tmp_path / "data", 20)
    write(folder / "A" / "broken.png", b"\x89PNG\r\n\x1a\n")
    alone = open_cohort(folder, task_file(), tmp_path / "s1")
    helped = open_cohort(folder, task_file(), tmp_path / "s2", workers=2)
    assert helped.contract_hash == alone.contract_hash
    assert helped.quarantine == alone.quarantine == {"unreadable": 1}
    assert images_of(helped) == images_of(alone)


def test_two_cores_decode_together_and_more_leave_half_to_whoever_else_works_there():
    assert [decoding_workers(cores) for cores in (1, 2, 3, 4, 16)] == [1, 2, 2, 2, 8]


def test_scanners_are_counted_and_no_patient_is_kept_in_the_state_folder(tmp_path):
    for number in range(6):
        content = dicom(
            noise(number), PatientID="Weber-4711", PatientName="Weber^Anna", Manufacturer="Maker",
            SOPInstanceUID=f"1.2.840.99.{number}",
        )  # fmt: skip
        write(tmp_path / "data" / "AB"[number % 2] / f"{number}.dcm", content)
    cohort = survey_folder(tmp_path / "data", task_file(), tmp_path / "s")
    assert cohort.scanners["manufacturer"] == {"Maker": 6}
    assert cohort.scanners["bits"] == {"8": 6}
    for path in (tmp_path / "s").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"Weber" not in content
            assert b"1.2.840.99" not in content
    assert "Weber" not in repr(cohort)


CONTENTS = st.lists(
    st.tuples(st.integers(0, 8), st.sampled_from("AB"), st.integers(0, 3)), min_size=1, max_size=12
)


def judged(files) -> list[Sample]:
    known = [
        Known(
            FileId(f"{place}.dcm", 1, 1),
            f"{content:064x}",
            Verdict(1, facts=Facts("dicom", f"p{patient}")),
        )
        for place, (content, _, patient) in enumerate(files)
    ]
    samples, _ = sort_out(known, [Label(name) for _, name, _ in files])
    return give_splits(samples, 0.3, 0.2)


@settings(max_examples=80, derandomize=True)
@given(files=CONTENTS, seed=st.randoms(use_true_random=False))
def test_the_contract_hash_does_not_know_the_order_of_files(files, seed):
    files = list({content: (content, name, patient) for content, name, patient in files}.values())
    shuffled = list(files)
    seed.shuffle(shuffled)
    one, other = (contract_hash(judged(each), "AB", "prep") for each in (files, shuffled))
    assert one == other


@settings(max_examples=80, derandomize=True)
@given(one=CONTENTS, other=CONTENTS)
def test_contract_hashes_are_equal_exactly_when_the_usable_data_is(one, other):
    def meaning(samples):
        groups: dict[str, set[str]] = {}
        for sample in samples:
            groups.setdefault(sample.patient, set()).add(sample.content)
        return {(s.content, s.label, s.split, frozenset(groups[s.patient])) for s in samples}

    first, second = judged(one), judged(other)
    same = contract_hash(first, "AB", "p") == contract_hash(second, "AB", "p")
    assert same == (meaning(first) == meaning(second))
    assert contract_hash(first, "AB", "p") != contract_hash(first, "AB", "q")
    assert contract_hash(first, "AB", "p") != contract_hash(first, "BA", "p")


def test_importing_the_room_imports_neither_torch_nor_pydicom():
    root = Path(__file__).resolve().parents[2]
    for room, expected in (("data", []), ("data.cohort", ["PIL", "pydicom"])):
        heavy = "{'torch', 'pydicom', 'PIL'} & set(sys.modules)"
        code = f"import sys, fedcore.{room}; print(*sorted({heavy}))"
        command = [sys.executable, "-c", code]
        said = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
        assert said.stdout.split() == expected


def test_files_that_arrive_during_a_training_are_left_for_the_next_one(folder, tmp_path):
    frozen = tmp_path / "contents"
    state = tmp_path / "state"
    before = open_cohort(folder, task_file(), state, frozen=frozen)
    write(folder / "A" / "late.png", picture(noise(999)))
    after = open_cohort(folder, task_file(), state, frozen=frozen)
    assert after.contract_hash == before.contract_hash
    assert images_of(after) == images_of(before)
    assert after.files == before.files
    assert "1 files came after the training began" in after.notes[-1]
    assert open_cohort(folder, task_file(), state).contract_hash != before.contract_hash


def test_a_file_that_is_gone_since_the_training_began_changes_the_contract_hash(folder, tmp_path):
    frozen = tmp_path / "contents"
    before = open_cohort(folder, task_file(), tmp_path / "state", frozen=frozen)
    next((folder / "A").iterdir()).unlink()
    after = open_cohort(folder, task_file(), tmp_path / "state", frozen=frozen)
    assert after.contract_hash != before.contract_hash


def test_files_that_could_not_be_hashed_count_the_same_when_a_training_goes_on(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setattr("fedcore.data.decode.MAX_FILE_BYTES", 100_000)
    write(folder / "A" / "huge.png", bytes(100_001))
    frozen = tmp_path / "contents"
    before = open_cohort(folder, task_file(), tmp_path / "state", frozen=frozen)
    write(folder / "B" / "late.png", bytes(100_002))
    after = open_cohort(folder, task_file(), tmp_path / "state", frozen=frozen)
    assert before.quarantine == after.quarantine == {"too_large": 1}
    assert after.files == before.files == 25
    assert "1 files came after the training began" in after.notes[-1]
