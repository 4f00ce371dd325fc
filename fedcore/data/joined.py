"""Several parties' cohorts as one: what a training on pooled data would have."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedcore.data.cohort_record import Cohort
from fedcore.data.images import ImageSet, Labels, PixelStatistics
from fedcore.errors import DataError


@dataclass(frozen=True)
class JoinedImages:
    """An `ImageSet` of several parties' images, one party after the other; at least one party.

    Rows of tables are as each party standardised them.
    """

    parts: Sequence[ImageSet]
    pixel_statistics: PixelStatistics | None = None

    @property
    def labels(self) -> Labels:
        """Class numbers, shape (N,)."""
        return np.concatenate([part.labels for part in self.parts])

    @property
    def patients(self) -> int:
        """Patients of all parts; somebody who was at two parties counts twice."""
        return sum(part.patients for part in self.parts)

    def __len__(self) -> int:
        """N."""
        return sum(map(len, self.parts))

    def batch(self, indices: Labels) -> npt.NDArray[Any]:
        """The images at `indices`, in that order; each part is asked once."""
        ends = np.cumsum([len(part) for part in self.parts])
        owner = np.searchsorted(ends, indices, side="right")
        found: list[tuple[Labels, npt.NDArray[Any]]] = []
        for number in np.unique(owner) if len(indices) else [0]:
            places = np.flatnonzero(owner == number)
            first = ends[number] - len(self.parts[number])
            found.append((places, self.parts[number].batch(indices[places] - first)))
        out = np.empty((len(indices), *found[0][1].shape[1:]), found[0][1].dtype)
        for places, images in found:
            out[places] = images
        return out


def joined(cohorts: Mapping[str, Cohort]) -> Cohort:
    """The union of the parties' cohorts, split by split, in the order of party ids.

    Raises `DataError` where the parties name their classes differently.
    """
    owners = sorted(cohorts)
    parts = [cohorts[owner] for owner in owners]
    _require_same_classes(owners, parts)
    pixels = _pixels([one.train for one in parts])
    return Cohort(
        classes=parts[0].classes,
        train=JoinedImages([one.train for one in parts], pixels),
        validation=JoinedImages([one.validation for one in parts], pixels),
        test=JoinedImages([one.test for one in parts], pixels),
        contract_hash=_hash(one.contract_hash for one in parts),
        preprocessing_hash=parts[0].preprocessing_hash,
        files=sum(one.files for one in parts),
        patients=sum(one.patients for one in parts),
        split_patients=_sum(one.split_patients for one in parts),
        images={split: _sum(one.images[split] for one in parts) for split in parts[0].images},
        quarantine=_sum(one.quarantine for one in parts),
        scanners=_scanners(parts),
        faults=tuple(fault for one in parts for fault in one.faults),
        notes=tuple(note for one in parts for note in one.notes),
        set_aside=tuple(aside for one in parts for aside in one.set_aside),
        contents=frozenset().union(*(one.contents for one in parts)),
        unit=parts[0].unit,
    )


def _pixels(parts: Sequence[ImageSet]) -> PixelStatistics | None:
    """Mean and spread over the training images of all parts; `None` where a part has none."""
    known = [(len(one), one.pixel_statistics) for one in parts]
    told = [(count, one) for count, one in known if one is not None]
    if not told or len(told) < len(known):
        return None
    weights = np.array([count for count, _ in told], np.float64)
    means = np.array([one.mean for _, one in told])
    squares = np.array([one.std for _, one in told]) ** 2 + means**2
    mean = np.average(means, axis=0, weights=weights)
    spread = np.sqrt(np.maximum(np.average(squares, axis=0, weights=weights) - mean**2, 0.0))
    return PixelStatistics(tuple(map(float, mean)), tuple(map(float, spread)))


def _require_same_classes(owners: Sequence[str], parts: Sequence[Cohort]) -> None:
    for owner, one in zip(owners, parts, strict=True):
        if one.classes != parts[0].classes:
            raise DataError(
                f"party {owner}: its classes are {', '.join(one.classes)} and those of party "
                f"{owners[0]} are {', '.join(parts[0].classes)}: name them in data.classes"
            )


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)


def _scanners(parts: Sequence[Cohort]) -> dict[str, dict[str, int]]:
    kinds = sorted({kind for one in parts for kind in one.scanners})
    return {kind: _sum(one.scanners.get(kind, {}) for one in parts) for kind in kinds}


def _hash(hashes: Iterable[str]) -> str:
    return hashlib.sha256("|".join(hashes).encode()).hexdigest()
