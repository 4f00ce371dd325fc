"""The seam between data and training: a labelled set of images that are ready to be batched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


class ImageSet(Protocol):
    """N images of one split, decoded, resized and cropped; normalisation is left to the batch."""

    @property
    def labels(self) -> Labels:
        """Class numbers, shape (N,)."""

    @property
    def patients(self) -> int:
        """How many different patients the images come from."""

    def __len__(self) -> int:
        """N."""

    def batch(self, indices: npt.NDArray[np.int64]) -> Pixels:
        """The images at `indices` as (B, C, H, W) uint8, in that order."""


@dataclass(frozen=True)
class ArrayImages:
    """An `ImageSet` over arrays in memory: (N, C, H, W) uint8 pixels and (N,) labels."""

    pixels: Pixels
    labels: Labels
    patients: int

    def __len__(self) -> int:
        """N."""
        return len(self.labels)

    def batch(self, indices: npt.NDArray[np.int64]) -> Pixels:
        """The images at `indices`, in that order."""
        return self.pixels[indices]
