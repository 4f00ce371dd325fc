"""Generated hospitals: the same bytes for a seed, valid files, and a task of the right weight."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from data_story import task_file

from fedcore.data import write_demo, write_party
from fedcore.data.cohort import open_cohort
from fedcore.data.decode import decode_file
from fedcore.data.phantom_looks import LOOKS


def digests(folder) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.dcm"))
    }


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder, patients=80, size=96)
    return folder


@pytest.fixture(scope="module")
def cohorts(demo, tmp_path_factory):
    state = tmp_path_factory.mktemp("state")
    return {
        party: open_cohort(demo / party, task_file((1, 48, 48)), state / party) for party in LOOKS
    }


def everything(cohort):
    sets = [one for one in (cohort.train, cohort.validation, cohort.test) if len(one)]
    pixels = np.concatenate([one.batch(np.arange(len(one))) for one in sets])
    return pixels, np.concatenate([one.labels for one in sets])


def auroc(scores, labels) -> float:
    sick, well = scores[labels == 1][:, None], scores[labels == 0][None]
    return float(((sick > well) + 0.5 * (sick == well)).mean())


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_demo(tmp_path / name, seed, patients=3, size=64)
    first, again, other = (digests(tmp_path / name) for name in "abc")
    assert first == again
    assert first
    assert not set(first.values()) & set(other.values())


def test_every_hospital_satisfies_the_contract_and_sets_its_damaged_files_aside(cohorts):
    aside = {"conflicting_label": 2, "duplicate": 1, "no_pixel_data": 1, "not_dicom": 1,
             "truncated": 1}  # fmt: skip
    for cohort in cohorts.values():
        assert cohort.classes == ("NORMAL", "PNEUMONIA")
        assert cohort.quarantine == aside
        assert cohort.faults == ()
        assert cohort.patients == 80
        assert min(cohort.class_counts.values()) > 20


def test_scanners_differ_between_hospitals(cohorts):
    bits = {tuple(cohort.scanners["bits"]) for cohort in cohorts.values()}
    syntaxes = {name for cohort in cohorts.values() for name in cohort.scanners["transfer_syntax"]}
    assert bits == {("12",), ("10",), ("16",)}
    assert len(syntaxes) == 6


def test_the_mean_brightness_does_not_solve_the_task(cohorts):
    for party, cohort in cohorts.items():
        pixels, labels = everything(cohort)
        score = auroc(pixels.reshape(len(pixels), -1).mean(axis=1), labels)
        assert 0.2 < score < 0.8, party


def test_a_linear_look_at_coarse_pixels_sees_something(cohorts):
    """Opacities are in the pixels: the class means differ inside the lungs, in every hospital."""
    for cohort in cohorts.values():
        pixels, labels = everything(cohort)
        lungs = pixels[:, 0, 10:30, 8:40].astype(float).mean(axis=(1, 2))
        whole = pixels.astype(float).mean(axis=(1, 2, 3))
        assert auroc(lungs - whole, labels) > 0.6


def test_objects_carry_what_radiographs_carry(demo):
    path = next((demo / "10000" / "NORMAL").glob("10000_p*"))
    dataset = pydicom.dcmread(path)
    assert dataset.Modality == "CR"
    assert dataset.SOPClassUID.name == "Computed Radiography Image Storage"
    assert dataset.PatientID.startswith("PHANTOM-")
    assert dataset.ViewPosition == "PA"
    assert list(dataset.PatientOrientation) in (["L", "F"], ["R", "F"])
    assert dataset.PhotometricInterpretation == "MONOCHROME1"
    assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID


def test_a_mirrored_image_is_read_as_if_it_were_not(tmp_path):
    plain = replace(LOOKS["10000"], mirrored=0.0)
    write_party(tmp_path / "a" / "h", plain, 1, 0, size=64)
    write_party(tmp_path / "b" / "h", replace(plain, mirrored=1.0), 1, 0, size=64)
    one, other = (next((tmp_path / name).rglob("*_0.dcm")) for name in "ab")
    assert one.read_bytes() != other.read_bytes()
    assert np.array_equal(decode_file(one).frames[0], decode_file(other).frames[0])


def test_a_small_hospital_has_no_damaged_files(tmp_path):
    written = write_party(tmp_path / "h", LOOKS["9999"], 8, 0, size=64)
    assert written == len(list(tmp_path.rglob("*_p*.dcm"))) == len(list(tmp_path.rglob("*.dcm")))
