"""The header of a safetensors body: written, and checked before a single number is read.

A body is 8 bytes of header length, a JSON header that names every tensor's dtype, shape and place,
and the numbers. Accepted is only what fits to the byte: the tensors must tile the rest of the body
without gap or overlap, in dtypes that numpy has.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedcore.errors import Refused
from fedcore.params import Schema

Buffer = bytes | bytearray | memoryview
Read = Callable[[int, int], bytes | memoryview]
MAX_HEADER = 16 << 20
DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "F16": "float16",
    "U32": "uint32",
    "I32": "int32",
    "F32": "float32",
    "U64": "uint64",
    "I64": "int64",
    "F64": "float64",
}
# In this order the numbers lie in a body, wide ones first, each kind by name.
ORDER = ("U64", "I64", "F64", "F32", "U32", "I32", "F16", "U16", "I16", "I8", "U8", "BOOL")
RANKS = {DTYPES[code]: place for place, code in enumerate(ORDER)}
CODES = {name: code for code, name in DTYPES.items()}


@dataclass(frozen=True)
class Place:
    """One tensor: numpy's name of its dtype, its shape, and the bytes of the body it takes."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    length: int


def read_header(read: Read, size: int) -> dict[str, Place]:
    """Name -> place, names sorted, of a body of `size` bytes that `read(start, length)` gives.

    Raises `Refused`: `not_safetensors`, `truncated`, `dtype` or `offsets`.
    """
    first = read(0, 8)
    if len(first) < 8:
        raise Refused("truncated", f"{size} bytes are no safetensors body")
    length = int.from_bytes(bytes(first), "little")
    if length > MAX_HEADER:  # what a pickle or zip file shows, too, read this way
        raise Refused("not_safetensors", f"a header of {length} bytes")
    if length > size - 8:
        raise Refused("truncated", f"the header alone has {length} bytes, the body {size}")
    places = _places(_json(bytes(read(8, length))), begin=8 + length)
    _require_tiling(places, 8 + length, size)
    return {name: places[name] for name in sorted(places)}


def rank(dtype: str) -> int:
    """Where tensors of a dtype lie in a body, among the other dtypes: 0 is first."""
    return RANKS.get(dtype, len(RANKS))


def write_header(schema: Schema) -> bytes:
    """The length and the header of a body of these tensors, in the order given, without gaps."""
    header, reached = {}, 0
    for name, (dtype, shape) in schema.items():
        end = reached + math.prod(shape) * np.dtype(dtype).itemsize
        offsets = [reached, end]
        header[name] = {"dtype": CODES[dtype], "shape": list(shape), "data_offsets": offsets}
        reached = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def schema_of(places: dict[str, Place]) -> Schema:
    """The schema that the header announces."""
    return {name: (place.dtype, place.shape) for name, place in places.items()}


def _json(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as broken:
        raise Refused("not_safetensors", f"bad header ({type(broken).__name__})") from None
    if not isinstance(header, dict):
        raise Refused("not_safetensors", "the header is no object")
    header.pop("__metadata__", None)
    return header


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise Refused("not_safetensors", "the header names something twice")
    return content


def _places(header: dict[str, Any], begin: int) -> dict[str, Place]:
    return {name: _place(name, entry, begin) for name, entry in header.items()}


def _place(name: str, entry: Any, begin: int) -> Place:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise Refused("not_safetensors", f"{name[:80]}: not described by dtype, shape and offsets")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in DTYPES:
        raise Refused("dtype", f"{name[:80]}: {str(code)[:20]} is not accepted")
    if not _counts(shape) or not _counts(offsets) or len(offsets) != 2 or len(shape) > 32:
        raise Refused("offsets", f"{name[:80]}: shape and offsets are not lists of sizes")
    length = math.prod(shape) * np.dtype(DTYPES[code]).itemsize
    if offsets[1] - offsets[0] != length:
        raise Refused("offsets", f"{name[:80]}: the shape does not fill the bytes given to it")
    return Place(DTYPES[code], tuple(shape), begin + offsets[0], length)


def _counts(values: Any) -> bool:
    if not isinstance(values, list):
        return False
    return all(type(value) is int and 0 <= value < 1 << 48 for value in values)


def _require_tiling(places: dict[str, Place], begin: int, size: int) -> None:
    """No gap, no overlap, nothing after the last: every byte belongs to exactly one tensor."""
    reached = begin
    for place in sorted(places.values(), key=lambda place: (place.start, place.length)):
        if place.start != reached:
            raise Refused("offsets", f"byte {reached} belongs to no tensor, or to two")
        reached += place.length
    if reached > size:
        raise Refused("truncated", f"{size} bytes of {reached}")
    if reached < size:
        raise Refused("not_safetensors", f"{size - reached} bytes follow the last tensor")
