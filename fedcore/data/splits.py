"""Training, validation and test by patient, by a hash of the patient alone.

A patient's place depends on nothing but the patient and the two shares, so it stays the same when
files are added or removed, in every task and on every machine. The price: with few patients the
shares are met only roughly, and a split may come out empty; the cohort then says so.
"""

from __future__ import annotations

import hashlib
from typing import Literal

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
_SALT = b"fedcore split 1|"
_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


def split_of(patient: str, validation: float, test: float) -> Split:
    """The split of a patient (any stable text); `validation` and `test` are shares of 1."""
    head = hashlib.sha256(_SALT + patient.encode()).digest()[:8]
    place = int.from_bytes(head, "big") / 2**64
    if place < test:
        return "test"
    return "validation" if place < test + validation else "train"


def named_split(name: str) -> Split | None:
    """The split that a person calls by `name` (train, val, valid, validation, test, ...)."""
    return _NAMES.get(name.strip().lower())
