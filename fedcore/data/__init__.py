"""A hospital's images: read, judged, labelled, split by patient, preprocessed once and cached.

Names are loaded when they are asked for: importing the package costs next to nothing, and torch is
imported by `MedicalImageDataset` alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedcore.data.cohort import open_cohort, survey_folder
    from fedcore.data.cohort_record import Cohort
    from fedcore.data.dataset import MedicalImageDataset
    from fedcore.data.decode import decode_file
    from fedcore.data.images import ArrayImages, ImageSet
    from fedcore.data.intake import decoding_workers
    from fedcore.data.phantoms import write_demo, write_party

__all__ = [
    "ArrayImages",
    "Cohort",
    "ImageSet",
    "MedicalImageDataset",
    "decode_file",
    "decoding_workers",
    "open_cohort",
    "survey_folder",
    "write_demo",
    "write_party",
]

_HOMES = {
    "ArrayImages": "images",
    "Cohort": "cohort_record",
    "ImageSet": "images",
    "MedicalImageDataset": "dataset",
    "decode_file": "decode",
    "decoding_workers": "intake",
    "open_cohort": "cohort",
    "survey_folder": "cohort",
    "write_demo": "phantoms",
    "write_party": "phantoms",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
