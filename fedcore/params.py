"""Parameters as an algebra: named numpy arrays that can be added, scaled and measured.

Nothing here knows torch. A model's state is a mapping from parameter name to array; an update is
such a mapping too. Floating arrays take part in the algebra; integer arrays (BatchNorm's counters)
stay integers.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from fedcore.blocks import Blocks, in_blocks, some_at_a_time
from fedcore.crew import GRAIN, Crew, Floats
from fedcore.errors import Refused

Array = npt.NDArray[np.generic]
Params = dict[str, Array]
Schema = dict[str, tuple[str, tuple[int, ...]]]
# What BatchNorm gathers along the way, by the last part of the name: no gradient moves it.
MEASURED = frozenset({"running_mean", "running_var"})
STATISTICS = MEASURED | {"num_batches_tracked"}
# SCAFFOLD's control variates stand under this prefix, beside the parameters that they belong to.
CONTROL = "control/"


def schema(params: Mapping[str, Array]) -> Schema:
    """The shape of the mapping itself: name -> (dtype, shape), names sorted."""
    return {name: (kind_name(params[name].dtype), params[name].shape) for name in sorted(params)}


@lru_cache(maxsize=64)
def kind_name(kind: np.dtype[np.generic]) -> str:
    """The name of a dtype; a model has a hundred arrays of two, and numpy spells each anew."""
    return str(kind)


def require_schema(params: Mapping[str, Array], expected: Schema) -> None:
    """Raise `Refused` unless names, dtypes and shapes are exactly the expected ones."""
    found = schema(params)
    if found.keys() != expected.keys():
        odd = sorted(found.keys() ^ expected.keys())[0]
        raise Refused("schema", f"parameter {odd!r} is on one side only")
    for name, (dtype, shape) in found.items():
        wanted_dtype, wanted_shape = expected[name]
        if dtype != wanted_dtype:
            raise Refused("dtype", f"{name}: {dtype} instead of {wanted_dtype}")
        if shape != tuple(wanted_shape):
            raise Refused("shape", f"{name}: {shape} instead of {tuple(wanted_shape)}")


def require_finite(params: Mapping[str, Array]) -> None:
    """Raise `Refused` if any floating value is NaN or infinite."""
    for name, array in params.items():
        if is_float(array) and not np.isfinite(array).all():
            raise Refused("not_finite", f"{name} holds NaN or infinity")


def is_float(array: Array | Blocks) -> bool:
    """Whether an array takes part in the algebra (floating) or is carried along (integer)."""
    return array.dtype.kind == "f"


def is_learned(name: str, array: Array | Blocks) -> bool:
    """Whether gradients move it: floating, and none of BatchNorm's running statistics.

    The coordinator has no network to ask, so the statistics are known by torch's names for them.
    """
    return is_float(array) and name.rpartition(".")[2] not in STATISTICS


def learned(params: Mapping[str, Array]) -> Params:
    """The part that gradients move."""
    return {name: array for name, array in params.items() if is_learned(name, array)}


def subtract(
    left: Mapping[str, Array], right: Mapping[str, Array], into: Mapping[str, Array] | None = None
) -> Params:
    """`left - right`, name by name; `Refused` unless names and shapes are the same.

    The arrays of `into` take the result, where it is given.
    """
    if into is None:
        return _pairwise(np.subtract, left, right)
    _require_same_shapes(left, right)
    return {name: np.subtract(left[name], right[name], out=into[name]) for name in left}


def add(left: Mapping[str, Array], right: Mapping[str, Array]) -> Params:
    """`left + right`, name by name; `Refused` unless names and shapes are the same."""
    return _pairwise(np.add, left, right)


def scale(params: Mapping[str, Array], factor: float) -> Params:
    """Floating arrays times `factor`, dtype kept; integer arrays as they are."""
    return {
        name: _scaled(array, factor) if is_float(array) else array.copy()
        for name, array in params.items()
    }


def norm(params: Mapping[str, Array]) -> float:
    """The L2 norm over all floating values, summed in float64."""
    return math.sqrt(sum(size for _, _, size in _squares(params, Crew)))


def finite_norm(
    params: Mapping[str, Array], leaving_out: str, crew: Callable[[], Crew] = Crew
) -> float:
    """`norm` of what does not begin with `leaving_out`, in the pass that looks for NaN.

    Raises `Refused` as `require_finite` does, of what is left out, too: what is not finite shows
    in its sum of squares.
    """
    squares: list[float] = []
    for name, blocks, size in _squares(params, crew):
        if not math.isfinite(size):  # a sum of finite squares may be infinite, too
            require_finite({name: blocks.whole()})
        if not name.startswith(leaving_out):
            squares.append(size)
    return math.sqrt(sum(squares))


def _squares(
    params: Mapping[str, Array], crew: Callable[[], Crew]
) -> Iterator[tuple[str, Blocks, float]]:
    """Of each floating array, names sorted, the sum of squares in float64."""
    arrays = in_blocks(params, sorted(params))
    with crew() as at_work:
        for some in some_at_a_time((name, one) for name, one in arrays if is_float(one)):
            sums = _sums_of_squares([one for _, one in some], at_work)
            yield from ((*one, size) for one, size in zip(some, sums, strict=True))


def _sums_of_squares(arrays: Sequence[Blocks], crew: Crew) -> list[float]:
    """Of each piece, then of these in their order: the same for any number of threads."""
    sizes = [one.size for one in arrays]
    found = [[0.0] * -(-size // GRAIN) for size in sizes]

    def add(place: int, part: slice, room: Floats) -> None:
        room[:] = arrays[place].read(part)
        count, first = len(room) // GRAIN, part.start // GRAIN
        pieces, rest = room[: count * GRAIN].reshape(count, GRAIN), room[count * GRAIN :]
        with np.errstate(over="ignore"):
            found[place][first : first + count] = np.vecdot(pieces, pieces).tolist()
        if len(rest):
            found[place][first + count] = float(np.dot(rest, rest))

    crew.each_block(sizes, add)
    return [sum(one) for one in found]


def clip(params: Mapping[str, Array], max_norm: float | None) -> Params:
    """Scale down to L2 norm `max_norm` when larger; `None` clips nothing.

    The result's norm is never above `max_norm`, so clipping again changes no bit: what rounding
    may add is taken off in advance (for float32 a share of 2.4e-7).
    """
    size = norm(params) if max_norm is not None else 0.0
    if max_norm is None or size <= max_norm:
        return dict(params)
    return scale(params, max_norm / size * (1.0 - 2.0 * _coarsest(params)))


def digest(params: Mapping[str, Array]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes in sorted order: equal iff bit-identical."""
    total = hashlib.sha256()
    for name in sorted(params):
        array = params[name]
        # As JSON, no name can be mistaken for the description that follows it.
        head = json.dumps([name, array.dtype.str, array.shape])
        total.update(f"{head}\n".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def select(params: Mapping[str, Array], names: Iterable[str]) -> Params:
    """The named part of a mapping; raises `KeyError` for a name that is not there."""
    return {name: params[name] for name in names}


def prefixed(prefix: str, params: Mapping[str, Array]) -> Params:
    """The same arrays, every name with `prefix` before it."""
    return {prefix + name: array for name, array in params.items()}


def part(params: Mapping[str, Array], prefix: str) -> Params:
    """What stands under `prefix`, by the names without it."""
    return {name.removeprefix(prefix): params[name] for name in params if name.startswith(prefix)}


def _pairwise(
    operation: Callable[[Array, Array], Array],
    left: Mapping[str, Array],
    right: Mapping[str, Array],
) -> Params:
    _require_same_shapes(left, right)
    return {name: np.asarray(operation(left[name], right[name])) for name in left}


def _require_same_shapes(left: Mapping[str, Array], right: Mapping[str, Array]) -> None:
    if left.keys() != right.keys():
        odd = sorted(left.keys() ^ right.keys())[0]
        raise Refused("schema", f"parameter {odd!r} is on one side only")
    for name in left:
        if left[name].shape != right[name].shape:
            raise Refused("shape", f"{name}: {left[name].shape} against {right[name].shape}")


def _scaled(array: Array, factor: float) -> Array:
    # A small factor has too few digits as float16, so narrow arrays are multiplied as float32.
    kind = np.promote_types(array.dtype, np.float32)
    return np.asarray(np.multiply(array, factor, dtype=kind), dtype=array.dtype)


def _coarsest(params: Mapping[str, Array]) -> float:
    """The largest relative step between two neighbouring values of any floating array."""
    steps = [float(np.finfo(str(one.dtype)).eps) for one in params.values() if is_float(one)]
    return max([*steps, 2.0**-40])
