"""Rounding numbers: to the upper half of each, or to a byte with a scale for its row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedcore.params import Array, Params

# As bfloat16. An update that holds one is refused, so it must not round to a number.
NOT_A_NUMBER = 0x7FC0
SCALE = ":scale"
MOST = 127
TINY = np.finfo(np.float32).tiny
# 64k numbers: what is worked on stays in the second-level cache.
BLOCK = 1 << 16
Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint32]


class Bench:
    """Where numbers are packed: memory to work in, block after block, and random bits.

    Memory that is new for each block would be given back and cleared each time.
    """

    def __init__(self, seed: int) -> None:
        """Equal seeds give equal bits."""
        # Thrice as fast as numpy's default; its bits are tested as well.
        self._random = np.random.SFC64(seed)
        self._left, self._right = np.empty(0, np.uint32), np.empty(0, np.uint32)

    def words(self, count: int) -> tuple[Words, Words]:
        """Two arrays of `count` unsigned numbers of 32 bits, to be overwritten by the next call."""
        if count > len(self._left):
            self._left, self._right = np.empty(count, np.uint32), np.empty(count, np.uint32)
        return self._left[:count], self._right[:count]

    def floats(self, count: int) -> tuple[Floats, Floats]:
        """The same memory as numbers of float32."""
        left, right = self.words(count)
        return left.view(np.float32), right.view(np.float32)

    def sixteen_bits(self, count: int) -> npt.NDArray[np.uint16]:
        """Random numbers from 0 to 65535, four of each 64 random bits."""
        return self._random.random_raw(-(-count // 4)).view(np.uint16)[:count]


def to_halves(name: str, array: Array, bench: Bench) -> Params:
    """The upper 16 bits after rounding to the nearest, ties to even."""
    numbers = np.ascontiguousarray(array).reshape(-1)
    bits, halves = numbers.view(np.uint32), np.empty(numbers.shape, np.uint16)
    for start in range(0, len(bits), BLOCK):
        part = slice(start, start + BLOCK)
        halves[part] = _rounded(bits[part], bench)
        finite = np.isfinite(numbers[part])
        if not finite.all():
            halves[part][~finite] = NOT_A_NUMBER
    return {name: halves.reshape(array.shape)}


def _rounded(bits: Words, bench: Bench) -> Words:
    odd, sums = bench.words(len(bits))
    np.right_shift(bits, 16, out=odd)
    odd &= 1
    np.add(bits, 0x7FFF, out=sums)
    sums += odd
    sums >>= 16
    return sums


def to_bytes(name: str, array: Array, bench: Bench) -> Params:
    """Steps of -127 to 127, and the size of a step for each row."""
    rows = _in_rows(np.ascontiguousarray(array, np.float32))
    scales = _largest_of(rows) / np.float32(MOST)
    scales[scales < TINY] = 0  # their inverse would be infinite
    inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales > 0)
    steps = np.empty(rows.shape, np.int8)
    together = max(1, BLOCK // max(1, rows.shape[1]))
    for start in range(0, len(rows), together):
        part = slice(start, start + together)
        with np.errstate(invalid="ignore"):  # what is not finite shows in the scale
            steps[part] = _steps(rows[part], inverse[part, np.newaxis], bench)
    return {name: steps.reshape(array.shape), name + SCALE: scales}


def _largest_of(rows: Floats) -> Floats:
    """The largest size of a number in each row; 0 for a row without any."""
    most: Floats = np.maximum(rows.max(axis=1, initial=0.0), -rows.min(axis=1, initial=0.0))
    return most


def _steps(rows: Floats, inverse: Floats, bench: Bench) -> Floats:
    """Up with the probability of the part that is cut off, else down: right on average.

    The probability comes in steps of 2^-16; what is added is within (0, 1).
    """
    values, added = (flat.reshape(rows.shape) for flat in bench.floats(rows.size))
    np.multiply(rows, inverse, out=values)
    added[:] = bench.sixteen_bits(rows.size).reshape(rows.shape)
    added += 0.5
    added *= 2.0**-16
    values += added
    np.floor(values, out=values)
    return np.clip(values, -MOST, MOST, out=values)


def _in_rows(array: Floats) -> Floats:
    """A view of a contiguous array as (rows, numbers of a row)."""
    (rows,) = rows_of(array.shape)
    return array.reshape(rows, array.size // rows if rows else 0)


def rows_of(shape: tuple[int, ...]) -> tuple[int]:
    """How many scales an array of that shape has, as a shape: a vector has one."""
    return (shape[0],) if len(shape) > 1 else (1,)
