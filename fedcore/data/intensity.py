"""From stored values to 8-bit grey levels, as DICOM PS3.3 C.7.6.3, C.11.1 and C.11.2 describe it.

The order is: modality LUT or rescale, then VOI LUT or window, then MONOCHROME1 is inverted. Without
a VOI, the smallest and largest value of the frame become 0 and 255. Nothing here opens a file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedcore.data.images import Pixels

Values = npt.NDArray[np.generic]
Reals = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """A look-up table: `entries[value - first]`, ends held; `bits` is the depth of the entries."""

    entries: npt.NDArray[np.uint16]
    first: int
    bits: int


@dataclass(frozen=True)
class Window:
    """A window of PS3.3 C.11.2.1.2; `function` is LINEAR, LINEAR_EXACT or SIGMOID."""

    center: float
    width: float
    function: str = "LINEAR"

    @property
    def usable(self) -> bool:
        """Whether the numbers describe a window at all."""
        least = 1.0 if self.function == "LINEAR" else 0.0
        finite = math.isfinite(self.center) and math.isfinite(self.width)
        return finite and self.width >= least and self.width > 0


@dataclass(frozen=True)
class GreyRule:
    """What a file says about turning one frame's stored values into grey levels."""

    modality: Table | None = None
    slope: float = 1.0
    intercept: float = 0.0
    voi: Table | None = None
    window: Window | None = None
    padding: int | None = None
    inverted: bool = False


def to_grey(stored: Values, rule: GreyRule) -> Pixels:
    """Stored values (H, W) of any real type as uint8 (H, W), dark to bright."""
    grey = _rendered(_real_values(stored, rule), stored, rule)
    return np.asarray(255 - grey, np.uint8) if rule.inverted else grey


def to_eight_bits(colour: Values, bits: int) -> Pixels:
    """Unsigned colour values of `bits` bits as uint8, the high bits kept."""
    if colour.dtype == np.uint8:
        return np.asarray(colour, np.uint8)
    return (colour.astype(np.uint64) >> max(0, bits - 8)).astype(np.uint8)


def stretch(values: Values, known: npt.NDArray[np.bool_] | None = None) -> Pixels:
    """Smallest to largest value as 0 to 255; `known` limits which values set the two ends.

    NaN and infinity count as the smallest value. A constant image is all 0.
    """
    real = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(real)
    counted = real[finite if known is None else finite & known]
    if counted.size == 0 or counted.min() == counted.max():
        return np.zeros(real.shape, np.uint8)
    low, high = float(counted.min()), float(counted.max())
    return _to_bytes((np.where(finite, real, low) - low) / (high - low))


def apply_table(values: Values, table: Table) -> npt.NDArray[np.uint16]:
    """Look every value up; values outside the table take its first or last entry."""
    whole = np.nan_to_num(np.asarray(values, np.float64)) - table.first
    index = np.clip(whole, 0, len(table.entries) - 1).astype(np.int64)
    return table.entries[index]


def apply_window(values: Reals, window: Window) -> Pixels:
    """The window's function with output range 0 to 255."""
    center, width = window.center, window.width
    if window.function == "SIGMOID":
        exponent = np.clip(-4.0 * (values - center) / width, -60.0, 60.0)
        return _to_bytes(1.0 / (1.0 + np.exp(exponent)))
    if window.function == "LINEAR_EXACT":
        return _to_bytes((values - center) / width + 0.5)
    if width == 1.0:
        return np.where(values > center - 0.5, 255, 0).astype(np.uint8)
    return _to_bytes((values - (center - 0.5)) / (width - 1.0) + 0.5)


def _rendered(real: Reals, stored: Values, rule: GreyRule) -> Pixels:
    if rule.voi is not None:
        full = float(2**rule.voi.bits - 1)
        return _to_bytes(apply_table(real, rule.voi) / full)
    known = None if rule.padding is None else stored != rule.padding
    if rule.window is None or not rule.window.usable:
        return stretch(real, known)
    windowed = apply_window(real, rule.window)
    blind = windowed.size > 0 and windowed.min() == windowed.max()
    return stretch(real, known) if blind else windowed  # a window beside the data shows nothing


def _real_values(stored: Values, rule: GreyRule) -> Reals:
    if rule.modality is not None:
        return apply_table(stored, rule.modality).astype(np.float64)
    return stored.astype(np.float64) * rule.slope + rule.intercept


def _to_bytes(share: Reals) -> Pixels:
    finite = np.nan_to_num(share, nan=0.0, posinf=1.0, neginf=0.0)
    return np.rint(np.clip(finite, 0.0, 1.0) * 255.0).astype(np.uint8)
