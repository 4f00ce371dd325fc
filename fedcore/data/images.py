"""The seam between data and training: a labelled set of images that are ready to be batched.

A table's rows pass through the same seam: (B, F) float32, standardised already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
# Class numbers (N,) int64; for survival (N, 2) float64: time, and 1 where the event happened.
Labels = npt.NDArray[Any]


class ImageSet(Protocol):
    """N images of one split, decoded, resized and cropped; normalisation is left to the batch."""

    @property
    def labels(self) -> Labels:
        """Class numbers, shape (N,); for survival (N, 2), time and event."""

    @property
    def patients(self) -> int:
        """How many different patients the images come from."""

    def __len__(self) -> int:
        """N."""

    def batch(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """The images at `indices` as (B, C, H, W) uint8, or rows (B, F) float32, in that order."""


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
