"""What is remembered of one image file beside its pixels; nothing in it names a patient.

Patient and instance are kept as digests: enough to group, match and split, useless to read.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Literal

import numpy as np

from fedcore.data.images import Pixels

FrameRule = Literal["first", "middle", "last", "all"]
# Why a file can be set aside while it is read; `samples` adds those that need the whole folder.
REASONS = (
    "dimensions",
    "empty",
    "no_pixel_data",
    "not_dicom",
    "too_large",
    "truncated",
    "undecodable",
    "unreadable",
    "unsupported",
)


@dataclass(frozen=True)
class Facts:
    """One file's facts. `patient` and `instance` are digests, empty where the file has none."""

    kind: str
    patient: str = ""
    instance: str = ""
    attribute: str | None = None
    scanner: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Decoded:
    """A file's chosen frames as uint8 (H, W) or (H, W, 3), and its facts."""

    frames: tuple[Pixels, ...]
    facts: Facts


@dataclass(frozen=True)
class Verdict:
    """What came of reading a file once: how many images it gave, or why it was set aside."""

    frames: int
    reason: str = ""
    detail: str = ""
    facts: Facts | None = None

    def to_json(self) -> str:
        """The form that the index keeps."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Verdict:
        """Read `to_json` back; raises `ValueError`, `KeyError` or `TypeError` for anything else."""
        content = json.loads(text)
        facts = content.pop("facts")
        return cls(facts=Facts(**facts) if facts else None, **content)


def digest_of(kind: str, identity: str) -> str:
    """SHA-256 in hex of a patient's or an instance's identity, salted with what it is."""
    return hashlib.sha256(f"{kind}|{identity}".encode()).hexdigest()


def chosen_frames(count: int, rule: FrameRule) -> range:
    """The frame numbers (from 0) that the task file's frame rule picks out of `count`."""
    if rule == "all":
        return range(count)
    index = {"first": 0, "middle": count // 2, "last": count - 1}[rule]
    return range(index, index + 1)


def is_grey(pixels: Pixels) -> bool:
    """Whether an image is grey: two-dimensional, or three channels that are all the same."""
    if pixels.ndim == 2:
        return True
    first = pixels[..., 0]
    return bool(np.array_equal(first, pixels[..., 1]) and np.array_equal(first, pixels[..., 2]))
