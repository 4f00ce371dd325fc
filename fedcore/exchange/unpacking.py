"""Numbers read back from packed arrays, block by block: what is not looked at is not computed.

Each function gives a reader, which takes a slice of the flat array; several threads may use it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fedcore.errors import Refused
from fedcore.params import Array

Floats = npt.NDArray[np.float32]
Read = Callable[[slice], Array]


def from_halves(halves: Array) -> Read:
    """Of the upper halves of float32 numbers, as uint16."""
    flat = np.ascontiguousarray(halves).reshape(-1)

    def read(part: slice) -> Array:
        bits = flat[part].astype(np.uint32)
        bits <<= 16
        return bits.view(np.float32)

    return read


def from_bytes(steps: Array, scales: Array) -> Read:
    """Of int8 steps and a float32 scale for each of the equally long rows."""
    flat, row = np.ascontiguousarray(steps).reshape(-1), steps.size // max(1, len(scales))

    def read(part: slice) -> Array:
        values = flat[part].astype(np.float32)
        with np.errstate(invalid="ignore"):  # an infinite scale gives no number, and is refused
            _scale_rows(values, scales, row, part.start)
        return values

    return read


def _scale_rows(values: Floats, scales: Array, row: int, start: int) -> None:
    """Each number times its row's scale, in place; the first is the array's at `start`."""
    if not len(values):
        return
    begun = min(-start % row, len(values))
    first, count = -(-start // row), (len(values) - begun) // row
    end = begun + count * row
    whole = values[begun:end].reshape(count, row)
    np.multiply(whole, scales[first : first + count, np.newaxis], out=whole)
    if begun:
        values[:begun] *= scales[first - 1]
    if end < len(values):
        values[end:] *= scales[first + count]


def from_largest(name: str, index: Array, values: Array, size: int) -> Read:
    """Of some numbers and their places among `size`; the others are zero.

    Raises `Refused` with the reason `index` for places that no honest party sends.
    """
    places = index.astype(np.int64)
    if len(places) and (places[-1] >= size or (np.diff(places) <= 0).any()):
        raise Refused("index", f"{name[:80]}: places that are not sorted, twice, or beyond the end")

    def read(part: slice) -> Array:
        block = np.zeros(part.stop - part.start, np.float32)
        first, last = np.searchsorted(places, (part.start, part.stop))
        block[places[first:last] - part.start] = values[first:last]
        return block

    return read
