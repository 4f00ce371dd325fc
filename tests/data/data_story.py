"""What the tests of this room tell their stories with: small files, small folders, task files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom.uid
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from fedcore.config import TaskFile
from fedcore.data.decode import decode_content
from fedcore.errors import Quarantined

CT = "1.2.840.10008.5.1.4.1.1.2"
RNG_SIZE = (24, 20)


def task_file(size=(1, 16, 16), num_classes=2, **data) -> TaskFile:
    return TaskFile.model_validate(
        {
            "task_type": "classification",
            "model": {"name": "cnn", "input_size": size, "num_classes": num_classes},
            "federation": {"epochs": 1},
            "data": {"min_patients": 1} | data,
        }
    )


def dicom(stored: np.ndarray, syntax="ExplicitVRLittleEndian", bits=None, **attributes) -> bytes:
    """A small DICOM file around `stored` (H, W) or (F, H, W); attributes by keyword."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CT, attributes.pop("SOPInstanceUID", "1.2.3.4")
    dataset.Modality = "CT"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.BitsAllocated = stored.dtype.itemsize * 8
    dataset.BitsStored = bits or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(np.issubdtype(stored.dtype, np.signedinteger))
    if stored.ndim == 3:
        dataset.NumberOfFrames = len(stored)
    uid = UID(getattr(pydicom.uid, syntax))
    if uid.is_encapsulated:
        dataset.file_meta = FileMetaDataset()
        dataset.compress(uid, stored, generate_instance_uid=False)
    else:
        dataset.PixelData = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
        dataset["PixelData"].VR = "OW"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return saved(dataset, uid)


def saved(dataset: Dataset, syntax: UID) -> bytes:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def lookup(entries, first: int, bits: int) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    item.add_new("LUTData", "OW", np.asarray(entries, "<u2").tobytes())
    return item


def picture(pixels: np.ndarray, kind="PNG", **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def ramp(low: int, high: int, dtype=np.uint16, shape=RNG_SIZE) -> np.ndarray:
    return np.linspace(low, high, shape[0] * shape[1]).reshape(shape).astype(dtype)


def noise(seed: int, shape=RNG_SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)


def outcome(content: bytes, rule="first") -> str | list[tuple[int, ...]]:
    """The reason why a content is set aside, or the shapes of its frames."""
    try:
        return [frame.shape for frame in decode_content(content, rule).frames]
    except Quarantined as refused:
        return refused.reason


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def two_classes(folder: Path, patients: int = 12, kind="PNG") -> Path:
    """A folder with sub-folders A and B of `patients` pictures in all, one per patient."""
    for number in range(patients):
        name = "AB"[number % 2]
        write(folder / name / f"p{number:03d}.{kind.lower()}", picture(noise(number), kind))
    return folder
