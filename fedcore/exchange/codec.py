"""Updates and models as bytes: safetensors, written as its library does, read with suspicion.

Equal parameters give equal bytes, so a step repeated after a restart writes the same object again.
Reading checks the header against the body and against the expected schema before any number is
read; a body can be opened whole or tensor by tensor, from memory, a file or the exchange.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

import numpy as np

from fedcore.errors import InputError, Refused
from fedcore.exchange.header import (
    DTYPES,
    Buffer,
    Place,
    Read,
    rank,
    read_header,
    schema_of,
    write_header,
)
from fedcore.exchange.store import ObjectStore
from fedcore.params import Array, Params, Schema, schema

KNOWN = frozenset(DTYPES.values())


class Draft:
    """A safetensors body whose numbers are written where they will lie.

    What is computed into `arrays` need not be copied when the body is `encode`d.
    """

    def __init__(self, wanted: Schema) -> None:
        """Room for arrays of that schema; `KeyError` for a dtype that cannot be sent."""
        places = sorted(wanted, key=lambda name: (rank(wanted[name][0]), name))
        head = write_header({name: wanted[name] for name in places})
        sizes = {name: _size(*wanted[name]) for name in places}
        # An array, not bytes: numpy asks for large pages, which cost a third of the time.
        self._body = np.empty(len(head) + sum(sizes.values()), np.uint8)
        self._body[: len(head)] = np.frombuffer(head, np.uint8)
        self.schema: Schema = {name: wanted[name] for name in places}
        self.arrays: Params = {}
        start = len(head)
        for name, (dtype, shape) in self.schema.items():
            flat = self._body[start : start + sizes[name]]
            self.arrays[name] = flat.view(dtype).reshape(shape)
            start += sizes[name]

    def body(self) -> memoryview:
        """The bytes, read-only; the arrays are from now on, too."""
        for array in self.arrays.values():
            array.flags.writeable = False
        return self._body.data.toreadonly()


def encode(params: Mapping[str, Array], draft: Draft | None = None) -> memoryview:
    """The safetensors bytes of named arrays, read-only; the same arrays always give the same bytes.

    They are what the format's own library writes, which would copy all of it three times. Arrays
    that are the `draft`'s own are not copied. Raises `ValueError` for a dtype that the other side
    would not accept.
    """
    arrays = {name: _plain(name, params[name]) for name in params}
    found = schema(arrays)
    target = draft if draft is not None and draft.schema == found else Draft(found)
    for name, array in arrays.items():
        if array is not target.arrays[name]:
            target.arrays[name][...] = array
    return target.body()


def decode(body: bytes | memoryview, expected: Schema | None = None) -> Params:
    """The arrays of a body, copied and writable; see `Tensors` for what is refused."""
    return dict(Tensors.from_bytes(body, expected))


def views(body: bytes | memoryview, expected: Schema | None = None) -> Params:
    """As `decode`, without copying: read-only arrays over the body, which they keep alive."""
    tensors = Tensors.from_bytes(body, expected)
    return {name: tensors.view(name) for name in tensors.names}


class Tensors:
    """A checked safetensors body whose tensors are read one at a time.

    Opening raises `Refused` with the reason `not_safetensors`, `truncated`, `offsets`, `dtype`,
    or, against an `expected` schema, `schema`, `dtype`, `shape`.
    """

    def __init__(self, read: Read, size: int, expected: Schema | None = None) -> None:
        """Check the header of a body of `size` bytes, of which `read(start, length)` gives parts.

        `read` may give fewer bytes than asked; that is refused as `truncated`.
        """
        self._read = read
        self._places = read_header(read, size)
        if expected is not None:
            _require_expected(self.schema, expected)

    @classmethod
    def from_bytes(cls, body: bytes | memoryview, expected: Schema | None = None) -> Self:
        """Over a body in memory, of which nothing is copied before it is asked for."""
        view = memoryview(body).cast("B").toreadonly()
        return cls(lambda start, length: view[start : start + length], len(view), expected)

    @classmethod
    def from_file(cls, path: Path, expected: Schema | None = None) -> Self:
        """Over a local file, which is opened for each read; `InputError` if that fails."""
        try:
            size = path.stat().st_size
        except OSError as broken:
            raise _unreadable(path, broken) from None
        return cls(lambda start, length: _read_file(path, start, length), size, expected)

    @classmethod
    def from_store(cls, store: ObjectStore, key: str, expected: Schema | None = None) -> Self:
        """Over an object in the exchange, of which only what is asked for is fetched."""
        size = store.size(key)
        return cls(lambda start, length: store.get_range(key, start, length), size, expected)

    @property
    def names(self) -> list[str]:
        """The tensors' names, sorted."""
        return list(self._places)

    @property
    def schema(self) -> Schema:
        """Name -> (dtype, shape), without reading a number."""
        return schema_of(self._places)

    def tensor(self, name: str) -> Array:
        """One tensor, a writable copy; `KeyError` for a name that is not there."""
        return _array(self._places[name], bytearray(self._data(name)))

    def view(self, name: str) -> Array:
        """One tensor, read-only and without a copy of what is in memory; errors as `tensor`."""
        return _array(self._places[name], self._data(name))

    def _data(self, name: str) -> Buffer:
        place = self._places[name]
        data = self._read(place.start, place.length) if place.length else b""
        if len(data) != place.length:
            raise Refused("truncated", f"{name[:80]}: {len(data)} bytes of {place.length}")
        if place.dtype == "bool" and bytes(data).strip(b"\x00\x01"):
            raise Refused("dtype", f"{name[:80]}: a byte is neither true nor false")
        return data

    def __iter__(self) -> Iterator[tuple[str, Array]]:
        """Name and tensor, one after the other, names sorted."""
        return ((name, self.tensor(name)) for name in self._places)


class Lazy(Mapping[str, Array]):
    """A checked body as a mapping that reads an array each time it is asked for it.

    The arrays are read-only.
    """

    def __init__(self, tensors: Tensors) -> None:
        """Over a body that was opened; what it lies in must outlive this."""
        self._tensors, self._names = tensors, tensors.names

    def __getitem__(self, name: str) -> Array:
        """The array, read anew; `KeyError` for a name that is not there."""
        return self._tensors.view(name)

    def __iter__(self) -> Iterator[str]:
        """The names, sorted."""
        return iter(self._names)

    def __len__(self) -> int:
        """How many arrays there are."""
        return len(self._names)


def _size(dtype: str, shape: tuple[int, ...]) -> int:
    return math.prod(shape) * np.dtype(dtype).itemsize


def _plain(name: str, array: Array) -> Array:
    if array.dtype.name not in KNOWN:
        raise ValueError(f"{name}: {array.dtype} cannot be sent: convert it first")
    if array.dtype.isnative and array.flags.c_contiguous:
        return array  # itself, by which a draft knows its own
    return np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")


def _array(place: Place, data: Buffer) -> Array:
    flat = np.frombuffer(data, dtype=np.dtype(place.dtype).newbyteorder("<"))
    return flat.astype(place.dtype, copy=False).reshape(place.shape)


def _require_expected(found: Schema, expected: Schema) -> None:
    if found.keys() != expected.keys():
        odd = sorted(found.keys() ^ expected.keys())[0]
        raise Refused("schema", f"parameter {odd[:80]!r} is on one side only")
    for name, (dtype, shape) in found.items():
        if dtype != expected[name][0]:
            raise Refused("dtype", f"{name}: {dtype} instead of {expected[name][0]}")
        if shape != tuple(expected[name][1]):
            raise Refused("shape", f"{name}: {shape} instead of {tuple(expected[name][1])}")


def _read_file(path: Path, start: int, length: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(length)
    except OSError as broken:
        raise _unreadable(path, broken) from None


def _unreadable(path: Path, broken: OSError) -> InputError:
    return InputError(f"{path}: cannot be read ({broken.strerror}): name a readable file")
