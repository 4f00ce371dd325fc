"""Hospitals of generated radiographs as DICOM files, for demonstrations, tests and first steps.

The same seed gives the same bytes. No patient is real; names and numbers are made up. Each hospital
has its own scanner look, bit depth, photometric interpretation and transfer syntaxes, several
images of some patients, and, from 15 patients on, a few files that a reader must survive.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom.uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, generate_uid

from fedcore.data.phantom_drawing import draw_anatomy, draw_chest
from fedcore.data.phantom_looks import LOOKS, Look, Stored, render

CLASSES = ("NORMAL", "PNEUMONIA")
_DATE = "20260105"
_CLASS_UIDS = {
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "SR": "1.2.840.10008.5.1.4.1.1.88.11",
}
_IMPLEMENTATION = UID("1.2.826.0.1.3680043.8.498.1")
_PATIENTS_PER_FLAW = 15


@dataclass(frozen=True)
class Exposure:
    """One image to be made: whose it is, which of theirs, and what it is to show."""

    party: str
    patient: int
    number: int
    sick: bool

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return f"{self.party}_p{self.patient:04d}_{self.number}.dcm"


def write_demo(
    folder: Path, seed: int = 0, *, patients: int = 100, size: int = 176
) -> dict[str, Path]:
    """Three hospitals under `folder`, named after their party ids; returns party id -> folder."""
    places = {party: folder / party for party in LOOKS}
    for party, place in places.items():
        write_party(place, LOOKS[party], patients, seed, size=size)
    return places


def write_party(folder: Path, look: Look, patients: int, seed: int, *, size: int = 176) -> int:
    """One hospital with sub-folders NORMAL and PNEUMONIA; returns how many files were written.

    The hospital's name in identifiers is the folder's. Files of `size` x `size` pixels.
    """
    party = folder.name
    rng = _rng(party, seed)
    sick = np.zeros(patients, bool)
    sick[: round(look.sick * patients)] = True
    rng.shuffle(sick)
    for name in CLASSES:
        (folder / name).mkdir(parents=True, exist_ok=True)
    written = 0
    for patient, state in enumerate(sick):
        for number in range(2 if rng.random() < 0.25 else 1):
            exposure = Exposure(party, patient, number, bool(state))
            content = image_file(exposure, _syntax_in_turn(look, written), seed, size)
            (folder / CLASSES[exposure.sick] / exposure.name).write_bytes(content)
            written += 1
    return written + _write_flaws(folder, look, patients, seed, size)


def image_file(exposure: Exposure, look: Look, seed: int, size: int) -> bytes:
    """One DICOM file's content; the first of `look.syntaxes` is used."""
    anatomy = draw_anatomy(_rng(exposure.party, seed, exposure.patient))
    rng = _rng(exposure.party, seed, exposure.patient, exposure.number)
    stored = render(draw_chest(anatomy, exposure.sick, size, rng), look, rng)
    return dicom_file(stored, exposure, look, seed, mirrored=bool(rng.random() < look.mirrored))


def dicom_file(
    stored: Stored, exposure: Exposure, look: Look, seed: int, *, mirrored: bool = False
) -> bytes:
    """Stored values (H, W) as a CR or DX file; `mirrored` flips them and says so in the header."""
    dataset = _header(exposure, look.modality, seed)
    dataset.Manufacturer = look.manufacturer
    dataset.ManufacturerModelName = look.model
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = "PA"
    dataset.PatientOrientation = ["R", "F"] if mirrored else ["L", "F"]
    if look.modality == "DX":
        dataset.PresentationIntentType = "FOR PRESENTATION"
        dataset.PixelIntensityRelationship = "LOG"
        dataset.PixelIntensityRelationshipSign = -1 if look.photometric == "MONOCHROME1" else 1
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    if look.windowed:
        dataset.WindowCenter, dataset.WindowWidth = 2 ** (look.bits - 1), 2**look.bits
    pixels = np.ascontiguousarray(stored[:, ::-1] if mirrored else stored)
    return _encoded(dataset, pixels, look)


def report_file(exposure: Exposure, seed: int) -> bytes:
    """A structured report: a valid object without pixels."""
    dataset = _header(exposure, "SR", seed)
    dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
    dataset.CompletionFlag, dataset.VerificationFlag = "COMPLETE", "UNVERIFIED"
    return _bytes(dataset, UID("1.2.840.10008.1.2.1"))


def _write_flaws(folder: Path, look: Look, patients: int, seed: int, size: int) -> int:
    """Up to five kinds of files that real folders hold; returns how many files were written."""
    kinds = min(5, patients // _PATIENTS_PER_FLAW)
    extra = Exposure(folder.name, patients, 0, sick=False)
    plain = replace(look, syntaxes=("ExplicitVRLittleEndian",))
    normal, ill = (folder / name for name in CLASSES)
    if kinds > 0:
        whole = image_file(extra, plain, seed, size)
        (normal / "cut_short.dcm").write_bytes(whole[: len(whole) * 2 // 3])
    if kinds > 1:
        (ill / "export_log.dcm").write_text("This is no DICOM file.\n", encoding="utf-8")
    if kinds > 2:
        first = sorted(normal.glob(f"{folder.name}_*"))[0]
        shutil.copyfile(first, normal / f"copy_of_{first.name}")
    if kinds > 3:
        (ill / "report.dcm").write_bytes(report_file(replace(extra, number=1), seed))
    if kinds > 4:
        twice = image_file(replace(extra, number=2), plain, seed, size)
        for place in (normal, ill):
            (place / "in_both_folders.dcm").write_bytes(twice)
    return kinds + (kinds > 4)


def _header(exposure: Exposure, modality: str, seed: int) -> Dataset:
    study = f"{exposure.party}|{seed}|{exposure.patient}"
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = _CLASS_UIDS[modality]
    dataset.SOPInstanceUID = _uid(study, "instance", exposure.number)
    dataset.StudyInstanceUID = _uid(study, "study", 0)
    dataset.SeriesInstanceUID = _uid(study, f"series {modality}", 0)
    dataset.StudyDate = dataset.ContentDate = _DATE
    dataset.StudyTime = dataset.ContentTime = "080000"
    dataset.Modality = modality
    dataset.PatientID = f"PHANTOM-{exposure.party}-{exposure.patient:04d}"
    dataset.PatientName = f"Phantom^{exposure.patient:04d}"
    dataset.PatientBirthDate, dataset.PatientSex = "", ""
    dataset.AccessionNumber, dataset.ReferringPhysicianName, dataset.StudyID = "", "", "1"
    dataset.SeriesNumber, dataset.InstanceNumber = 1, exposure.number + 1
    return dataset


def _encoded(dataset: Dataset, pixels: Stored, look: Look) -> bytes:
    syntax = UID(getattr(pydicom.uid, look.syntaxes[0]))
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, look.photometric
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, look.bits, look.bits - 1
    dataset.PixelRepresentation = 0
    dataset.BurnedInAnnotation, dataset.LossyImageCompression = "NO", "00"
    if not syntax.is_encapsulated:
        dataset.PixelData = pixels.astype("<u2").tobytes()
        dataset["PixelData"].VR = "OW"
        return _bytes(dataset, syntax)
    dataset.file_meta = FileMetaDataset()
    # pylibjpeg encodes RLE many times faster than pydicom's own plug-in, which comes first.
    plugin = "pylibjpeg" if look.syntaxes[0] == "RLELossless" else ""
    dataset.compress(syntax, pixels, encoding_plugin=plugin, generate_instance_uid=False)
    return _bytes(dataset, syntax)


def _bytes(dataset: Dataset, syntax: UID) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.ImplementationClassUID = _IMPLEMENTATION
    meta.ImplementationVersionName = "FEDCORE"
    dataset.file_meta = meta
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _syntax_in_turn(look: Look, number: int) -> Look:
    return replace(look, syntaxes=(look.syntaxes[number % len(look.syntaxes)],))


def _uid(study: str, kind: str, number: int) -> UID:
    return generate_uid(entropy_srcs=["fedcore phantom", study, kind, str(number)])


def _rng(party: str, *numbers: int) -> np.random.Generator:
    """A stream of random numbers of its own for a party, a patient or an image."""
    return np.random.default_rng([*party.encode(), 256, *numbers])
