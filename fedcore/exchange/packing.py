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

from fedcore.blocks import Blocks
from fedcore.errors import Refused
from fedcore.exchange.rounding import SCALE, Bench, rows_of, to_bytes, to_halves
from fedcore.exchange.unpacking import from_bytes, from_halves, from_largest
from fedcore.params import CONTROL, Array, Params, Schema, is_learned, kind_name

INDEX, VALUE = ":index", ":value"
Floats = npt.NDArray[np.float32]


def pack(update: Mapping[str, Array], codec: str, share: float, seed: int) -> Params:
    """The arrays that stand for `update` on its way; `share` is what `topk` sends of it.

    `seed` decides the stochastic rounding. Raises `KeyError` for a codec that nobody knows.
    """
    if codec == "topk":
        return _largest(update, share)
    write = {"float32": _as_is, "bfloat16": to_halves, "int8": to_bytes}[codec]
    bench = Bench(seed)
    packed: Params = {}
    for name in sorted(update):
        array = update[name]
        packed.update(write(name, array, bench) if is_packed(name, array) else {name: array})
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
        if self._codec == "float32" or not _is_packed(name, self._expected[name][0]):
            return self._packed[name]
        return self.blocks(name).whole()

    def blocks(self, name: str) -> Blocks:
        """The array, read block by block, so that it need never be in memory whole."""
        dtype, shape = self._expected[name]
        if self._codec == "float32" or not _is_packed(name, dtype):
            return Blocks.of(self._packed[name])
        if self._codec == "bfloat16":
            read = from_halves(self._packed[name])
        elif self._codec == "int8":
            read = from_bytes(self._packed[name], self._packed[name + SCALE])
        else:
            index, values = self._packed[name + INDEX], self._packed[name + VALUE]
            read = from_largest(name, index, values, math.prod(shape))
        return Blocks(np.dtype(np.float32), tuple(shape), read)

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
            found[name], found[name + SCALE] = ("int8", shape), ("float32", rows_of(shape))
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


def _as_is(name: str, array: Array, _: Bench) -> Params:
    return {name: array}


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
