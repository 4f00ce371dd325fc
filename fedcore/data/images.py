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


@dataclass(frozen=True)
class PixelStatistics:
    """Per channel, over the pixels (0..1) of a party's training images; they stay at the party."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class ImageSet(Protocol):
    """N images of one split, decoded, resized and cropped; normalisation is left to the batch."""

    @property
    def labels(self) -> Labels:
        """Class numbers, shape (N,); for survival (N, 2), time and event."""

    @property
    def patients(self) -> int:
        """How many different patients the images come from."""

    @property
    def pixel_statistics(self) -> PixelStatistics | None:
        """Those of the party's training images; `None` unless the task asks for them."""

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
    pixel_statistics: PixelStatistics | None = None

    def __len__(self) -> int:
        """N."""
        return len(self.labels)

    def batch(self, indices: npt.NDArray[np.int64]) -> Pixels:
        """The images at `indices`, in that order."""
        return self.pixels[indices]


def measure_pixels(images: ImageSet, chunk: int = 256) -> PixelStatistics:
    """Mean and standard deviation of each channel, exact sums of bytes over 255.

    A channel that never changes gets a deviation of 1, so that nothing is divided by zero.
    """
    total = squares = np.zeros(1, np.uint64)
    count = 0
    for start in range(0, len(images), chunk):
        pixels = images.batch(np.arange(start, min(start + chunk, len(images)))).astype(np.uint64)
        total = total + pixels.sum(axis=(0, 2, 3))
        squares = squares + (pixels**2).sum(axis=(0, 2, 3))
        count += pixels.size // pixels.shape[1]
    mean = total / max(count, 1)
    std = np.sqrt(np.maximum(squares / max(count, 1) - mean**2, 0.0))
    std = np.where(std > 0, std, 255.0)
    return PixelStatistics(tuple((mean / 255).tolist()), tuple((std / 255).tolist()))
