"""What a DICOM header says, read with care: every value may be absent, empty or nonsense.

Enhanced multi-frame objects keep rescale and window per frame or shared by all frames (PS3.3
C.7.6.16); those of the frame at hand win over shared ones, and these over the top level.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from fedcore.data.facts import Facts, digest_of
from fedcore.data.intensity import GreyRule, Table, Window

_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def facts_of(dataset: Dataset, transfer_syntax: str, attribute: str | None) -> Facts:
    """Identity digests, the label attribute's value and what tells one scanner from another."""
    patient = text(dataset, "PatientID") or text(dataset, "StudyInstanceUID")
    instance = text(dataset, "SOPInstanceUID")
    return Facts(
        kind="dicom",
        patient=digest_of("patient", patient) if patient else "",
        instance=digest_of("instance", instance) if instance else "",
        attribute=text(dataset, attribute) or None if attribute else None,
        scanner={
            "manufacturer": text(dataset, "Manufacturer"),
            "model": text(dataset, "ManufacturerModelName"),
            "modality": text(dataset, "Modality"),
            "photometric": text(dataset, "PhotometricInterpretation"),
            "bits": text(dataset, "BitsStored"),
            "transfer_syntax": transfer_syntax,
        },
    )


def grey_rule(dataset: Dataset, index: int) -> GreyRule:
    """How frame `index` (from 0) becomes grey levels."""
    big_endian = dataset.original_encoding[1] is False
    signed = number(dataset, "PixelRepresentation") == 1
    rescale = _functional(dataset, index, "PixelValueTransformationSequence")
    voi = _functional(dataset, index, "FrameVOILUTSequence")
    slope, intercept = number(rescale, "RescaleSlope"), number(rescale, "RescaleIntercept")
    padding = number(dataset, "PixelPaddingValue")
    return GreyRule(
        modality=_table(rescale, "ModalityLUTSequence", signed, big_endian),
        slope=slope or 1.0,
        intercept=intercept or 0.0,
        voi=_table(voi, "VOILUTSequence", signed, big_endian),
        window=_window(voi),
        padding=None if padding is None else int(padding),
        inverted=text(dataset, "PhotometricInterpretation") == "MONOCHROME1",
    )


def text(dataset: Dataset, keyword: str) -> str:
    """An attribute as stripped text; empty where it is absent or empty."""
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip().strip("\0")


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """A multi-valued attribute as texts; a single value makes one, an absent one none."""
    value = dataset.get(keyword)
    if value is None or value == "":
        return ()
    many = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else value
    return tuple(str(part).strip() for part in many)


def number(dataset: Dataset, keyword: str) -> float | None:
    """The first value of a numeric attribute; None where it is absent, empty or no number."""
    value = dataset.get(keyword)
    if value is not None and not isinstance(value, str) and hasattr(value, "__len__"):
        value = value[0] if len(value) else None
    try:
        real = float(value) if value is not None else None
    except (TypeError, ValueError):
        return None
    return real if real is not None and np.isfinite(real) else None


def _functional(dataset: Dataset, index: int, macro: str) -> Dataset:
    """The macro's item for this frame, for all frames, or the dataset itself."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    own = per_frame[index : index + 1] if index < len(per_frame) else []
    for group in (*own, *shared[:1]):
        items = group.get(macro)
        if items:
            return _first(items)
    return dataset


def _window(dataset: Dataset) -> Window | None:
    center, width = number(dataset, "WindowCenter"), number(dataset, "WindowWidth")
    if center is None or width is None:
        return None
    function = text(dataset, "VOILUTFunction").upper()
    return Window(center, width, function if function in _FUNCTIONS else "LINEAR")


def _table(dataset: Dataset, keyword: str, signed: bool, big_endian: bool) -> Table | None:
    """A modality or VOI LUT (PS3.3 C.11.1.1, C.11.2.1.1); None where absent or unusable."""
    items = dataset.get(keyword)
    if not items:
        return None
    item = _first(items)
    descriptor, data = item.get("LUTDescriptor"), item.get("LUTData")
    if data is None or descriptor is None or len(descriptor) != 3:
        return None
    first, bits = int(descriptor[1]), int(descriptor[2])
    first -= 65536 if signed and first > 32767 else 0
    entries = _entries(data, int(descriptor[0]) or 65536, ">" if big_endian else "<")
    return Table(entries, first, bits) if entries.size and 1 <= bits <= 16 else None


def _entries(data: Any, count: int, order: str) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """LUT data as 16-bit entries, whether it came as numbers, words or single bytes."""
    if not isinstance(data, bytes):
        return np.atleast_1d(np.asarray(data, np.int64)).astype(np.uint16)
    width = "u1" if len(data) < 2 * count else order + "u2"
    usable = len(data) - len(data) % np.dtype(width).itemsize
    return np.frombuffer(data[:usable], width)[:count].astype(np.uint16)


def _first(items: Any) -> Dataset:
    found: Dataset = items[0]
    return found
