"""The neutral work: resnet18's arrays, and a step that changes all of them at once.

numpy alone, so that a peer's environment runs the very same lines without torch or fedcore.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]
WIDTHS = (64, 128, 256, 512)
COUNTER = "num_batches_tracked"


def model() -> Arrays:
    """resnet18 with 2 classes: 122 arrays, 11.2 million float32 and 20 int64 counters."""
    random = np.random.default_rng(0)
    return {name: _filled(name, shape, random) for name, shape in _shapes().items()}


def perturbed(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """What a party returns at once: every number a little different, every counter one on.

    A counter is known by its name: a peer may have made a float of it.
    """
    return {
        name: np.asarray(array + array.dtype.type(1 if name.endswith(COUNTER) else 1e-3))
        for name, array in arrays.items()
    }


def require_rounds(arrays: Mapping[str, np.ndarray], rounds: int) -> None:
    """Raise unless every round has changed the model: a failed one is no fast one."""
    counted = float(arrays[f"bn1.{COUNTER}"])
    if abs(counted - rounds) > 1e-3:
        raise RuntimeError(f"the counter says {counted:g} after {rounds} rounds")


def require_all(replies: int, parties: int, why: str = "") -> None:
    """Raise unless every party has answered: a round without one is no fast one."""
    if replies != parties:
        raise RuntimeError(f"{replies} of {parties} parties have answered {why}")


def mark(path: Path) -> None:
    """Note that a round has begun or ended now, by the clock that all processes share.

    Called by the process that combines, which is known from it.
    """
    with path.open("a", encoding="ascii") as file:
        file.write(f"{time.monotonic()} {os.getpid()}\n")


def note(marks: Path, what: str) -> None:
    """Note beside the marks that now is the moment `started` or `submitted` of a deployed run.

    `started`: the first process is about to be started, all files are there. `submitted`: servers
    and clients stand, and the training is about to be handed in.
    """
    with notes_of(marks).open("a", encoding="ascii") as file:
        file.write(f"{what} {time.monotonic()}\n")


def notes_of(marks: Path) -> Path:
    return marks.with_name(f"{marks.name}.notes")


def _filled(name: str, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    if name.endswith(COUNTER):
        return np.zeros(shape, np.int64)
    return random.standard_normal(shape, np.float32) * np.float32(0.01)


def _shapes() -> dict[str, tuple[int, ...]]:
    shapes = {"conv1.weight": (64, 3, 7, 7), **_norm("bn1", 64)}
    before = 64
    for stage, width in enumerate(WIDTHS, start=1):
        for block in (0, 1):
            shapes |= _block(f"layer{stage}.{block}.", before, width)
            before = width
    return {**shapes, "fc.weight": (2, 512), "fc.bias": (2,)}


def _block(name: str, before: int, width: int) -> dict[str, tuple[int, ...]]:
    shapes = {
        f"{name}conv1.weight": (width, before, 3, 3),
        **_norm(f"{name}bn1", width),
        f"{name}conv2.weight": (width, width, 3, 3),
        **_norm(f"{name}bn2", width),
    }
    if before == width:
        return shapes
    shortcut = {f"{name}downsample.0.weight": (width, before, 1, 1)}
    return {**shapes, **shortcut, **_norm(f"{name}downsample.1", width)}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    kinds = ("weight", "bias", "running_mean", "running_var")
    return {**{f"{name}.{one}": (width,) for one in kinds}, f"{name}.{COUNTER}": ()}
