"""Codecs: how an update's numbers are written, from exact to a hundredth of the bytes.

Packed is what gradients move and is float32; BatchNorm's statistics and integers stay as they are,
because an error there has no gradient that would mend it. A packed update is again named arrays,
so it travels, is hashed and is checked like every other body. Equal arguments give equal bytes.

- `float32`: as it is.
- `bfloat16`: the upper half of each number, rounded to the nearest even; the error of each is at
  most 2^-8 of it.
- `int8`: a scale for each row of the first axis (for vectors: one), so that the largest number of
  the row is 127, and stochastic rounding: the error is below one scale, zero on average
  (Alistarh et al. 2017, QSGD).
- `topk`: the largest numbers of the whole update alone, at least one; what is left out is for the
  party to keep and to add to its next update (Stich et al. 2018, error feedback).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from fedcore.errors import Refused
from fedcore.params import CONTROL, Array, Params, Schema, is_learned, kind_name

# As bfloat16. An update that holds one is refused, so it must not round to a number.
NOT_A_NUMBER = 0x7FC0
SCALE, INDEX, VALUE = ":scale", ":index", ":value"
MOST = 127
TINY = np.finfo(np.float32).tiny
# 64k numbers: what is worked on stays in the second-level cache.
BLOCK = 1 << 16
Floats = npt.NDArray[np.float32]


def pack(update: Mapping[str, Array], codec: str, share: float, seed: int) -> Params:
    """The arrays that stand for `update` on its way; `share` is what `topk` sends of it.

    `seed` decides the stochastic rounding. Raises `KeyError` for a codec that nobody knows.
    """
    if codec == "topk":
        return _largest(update, share)
    write = {"float32": _as_is, "bfloat16": _halves, "int8": _bytes}[codec]
    random = np.random.default_rng(seed)
    packed: Params = {}
    for name in sorted(update):
        array = update[name]
        packed.update(write(name, array, random) if is_packed(name, array) else {name: array})
    return packed


def seed_of(*what: object) -> int:
    """A seed for `pack` that follows from what it is for; the same for a repeated step."""
    text = "|".join(map(str, what))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def is_packed(name: str, array: Array) -> bool:
    """Whether a codec may change it: what gradients move, in float32."""
    return _is_packed(name, kind_name(array.dtype))


class Unpacked(Mapping[str, Array]):
    """An update read back from its packed arrays, one array at a time, each time anew."""

    def __init__(self, packed: Mapping[str, Array], codec: str, expected: Schema) -> None:
        """`expected` is the schema of the update itself; see `require_packed` for what is refused.

        What only reading the numbers shows (an index twice or beyond the end) is refused then.
        """
        self._packed, self._codec, self._expected = packed, codec, expected

    def __getitem__(self, name: str) -> Array:
        """The array as the receiver uses it; `KeyError` for a name that is not there."""
        dtype, shape = self._expected[name]
        if self._codec == "float32" or not _is_packed(name, dtype):
            return self._packed[name]
        if self._codec == "bfloat16":
            return _from_halves(self._packed[name])
        if self._codec == "int8":
            return _from_bytes(self._packed[name], self._packed[name + SCALE])
        return _from_largest(name, self._packed[name + INDEX], self._packed[name + VALUE], shape)

    def __iter__(self) -> Iterator[str]:
        """The names, sorted."""
        return iter(sorted(self._expected))

    def __len__(self) -> int:
        """How many arrays there are."""
        return len(self._expected)


def packed_schema(expected: Schema, codec: str) -> Schema:
    """What packed arrays of the update `expected` look like; of `topk`, with the fullest lists."""
    found: Schema = {}
    for name, (dtype, shape) in expected.items():
        if codec == "float32" or not _is_packed(name, dtype):
            found[name] = (dtype, shape)
        elif codec == "bfloat16":
            found[name] = ("uint16", shape)
        elif codec == "int8":
            found[name], found[name + SCALE] = ("int8", shape), ("float32", _rows(shape))
        else:
            count = (math.prod(shape),)
            found[name + INDEX], found[name + VALUE] = ("uint32", count), ("float32", count)
    return found


def require_packed(found: Schema, expected: Schema, codec: str) -> None:
    """Raise `Refused` unless packed arrays of the schema `found` can be the update `expected`."""
    wanted = packed_schema(expected, codec)
    if found.keys() != wanted.keys():
        odd = sorted(found.keys() ^ wanted.keys())[0]
        raise Refused("schema", f"parameter {odd[:80]!r} is on one side only")
    for name, (dtype, shape) in found.items():
        if dtype != wanted[name][0]:
            raise Refused("dtype", f"{name}: {dtype} instead of {wanted[name][0]}")
        if not _may_be(name, shape, found, wanted):
            raise Refused("shape", f"{name}: {shape} instead of {tuple(wanted[name][1])}")


def most_values(expected: Schema, codec: str, share: float) -> int:
    """The bytes of the numbers in a packed update, headers aside: no honest one has more."""
    if codec != "topk":
        return _bytes_of(packed_schema(expected, codec))
    plain = {name: kind for name, kind in expected.items() if not _is_packed(name, kind[0])}
    return _bytes_of(plain) + 8 * kept_count(numbers_in(expected), share)


def numbers_in(expected: Schema) -> int:
    """How many numbers of an update a codec packs."""
    packed = (kind for name, kind in expected.items() if _is_packed(name, kind[0]))
    return sum(math.prod(shape) for _, shape in packed)


def kept_count(numbers: int, share: float) -> int:
    """How many of so many numbers `topk` sends: the share rounded up, one at least if any."""
    return min(numbers, max(1, math.ceil(numbers * share)))


def _is_packed(name: str, dtype: str) -> bool:
    """SCAFFOLD's controls stay exact: an error in them would never be mended."""
    known = dtype == "float32" and is_learned(name, np.empty(0, np.float32))
    return known and not name.startswith(CONTROL)


def _bytes_of(found: Schema) -> int:
    return sum(np.dtype(kind).itemsize * math.prod(shape) for kind, shape in found.values())


def _may_be(name: str, shape: tuple[int, ...], found: Schema, wanted: Schema) -> bool:
    most = tuple(wanted[name][1])
    if not name.endswith((INDEX, VALUE)):
        return shape == most
    stem = name.removesuffix(INDEX).removesuffix(VALUE)
    lengths = {found[stem + INDEX][1], found[stem + VALUE][1]}
    return lengths == {shape} and len(shape) == 1 and shape[0] <= most[0]


def _as_is(name: str, array: Array, _: np.random.Generator) -> Params:
    return {name: array}


def _halves(name: str, array: Array, _: np.random.Generator) -> Params:
    """The upper 16 bits after rounding to the nearest, ties to even."""
    bits = np.ascontiguousarray(array).view(np.uint32).reshape(-1)
    halves = np.empty(bits.shape, np.uint16)
    for start in range(0, len(bits), BLOCK):
        part = bits[start : start + BLOCK]
        halves[start : start + BLOCK] = (part + (((part >> 16) & 1) + 0x7FFF)) >> 16
    halves[~np.isfinite(np.ravel(array))] = NOT_A_NUMBER
    return {name: halves.reshape(array.shape)}


def _from_halves(halves: Array) -> Array:
    bits = halves.astype(np.uint32)
    bits <<= 16
    return bits.view(np.float32)


def _bytes(name: str, array: Array, random: np.random.Generator) -> Params:
    rows = _in_rows(np.ascontiguousarray(array, np.float32))
    scales = np.abs(rows).max(axis=1, initial=0.0) / np.float32(MOST)
    scales[scales < TINY] = 0  # their inverse would be infinite
    inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales > 0)
    steps = np.empty(rows.shape, np.int8)
    together = max(1, BLOCK // max(1, rows.shape[1]))
    for start in range(0, len(rows), together):
        part = slice(start, start + together)
        with np.errstate(invalid="ignore"):  # what is not finite shows in the scale
            steps[part] = _steps(rows[part] * inverse[part, np.newaxis], random)
    return {name: steps.reshape(array.shape), name + SCALE: scales}


def _steps(values: Floats, random: np.random.Generator) -> Floats:
    """Up with the probability of the part that is cut off, else down: right on average."""
    values += _uniform(values.size, random).reshape(values.shape)
    np.floor(values, out=values)
    return np.clip(values, -MOST, MOST, out=values)


def _uniform(count: int, random: np.random.Generator) -> Floats:
    """Numbers in (0, 1) in steps of 2^-16, four of each 64 random bits."""
    raw = random.bit_generator.random_raw(-(-count // 4))
    high = raw.view(np.uint16)[:count].astype(np.float32)
    high += 0.5
    high *= 2.0**-16
    return high


def _from_bytes(steps: Array, scales: Array) -> Array:
    values = steps.astype(np.float32)
    rows = _in_rows(values)
    with np.errstate(invalid="ignore"):  # an infinite scale gives no number, and is refused
        np.multiply(rows, scales[:, np.newaxis], out=rows)
    return values


def _in_rows(array: Floats) -> Floats:
    """A view of a contiguous array as (rows, numbers of a row)."""
    (rows,) = _rows(array.shape)
    return array.reshape(rows, array.size // rows if rows else 0)


def _rows(shape: tuple[int, ...]) -> tuple[int]:
    return (shape[0],) if len(shape) > 1 else (1,)


def _largest(update: Mapping[str, Array], share: float) -> Params:
    names = [name for name in sorted(update) if is_packed(name, update[name])]
    packed: Params = {name: update[name] for name in sorted(update) if name not in names}
    if not names:
        return packed
    flat = np.concatenate([np.ravel(update[name]) for name in names])
    sizes = np.abs(flat)
    sizes[np.isnan(sizes)] = np.inf  # sent, and refused over there
    chosen = _chosen(sizes, kept_count(len(flat), share))
    begin = 0
    for name in names:
        end = begin + update[name].size
        first, last = np.searchsorted(chosen, (begin, end))
        places = chosen[first:last]
        packed[name + INDEX] = (places - begin).astype(np.uint32)
        packed[name + VALUE] = flat[places]
        begin = end
    return packed


def _chosen(sizes: Floats, count: int) -> npt.NDArray[np.int64]:
    """The places of the `count` largest, sorted; of equal ones those that stand first."""
    if not count:
        return np.empty(0, np.int64)
    least = np.partition(sizes, len(sizes) - count)[len(sizes) - count]
    above = np.flatnonzero(sizes > least)
    equal = np.flatnonzero(sizes == least)[: count - len(above)]
    return np.sort(np.concatenate([above, equal]))


def _from_largest(name: str, index: Array, values: Array, shape: tuple[int, ...]) -> Array:
    places = index.astype(np.int64)
    if len(places) and (places[-1] >= math.prod(shape) or (np.diff(places) <= 0).any()):
        raise Refused("index", f"{name[:80]}: places that are not sorted, twice, or beyond the end")
    whole = np.zeros(math.prod(shape), np.float32)
    whole[places] = values
    return whole.reshape(shape)
