"""The neutral work: resnet18's arrays, and a step that changes all of them at once.

numpy alone, so that a peer's environment runs the very same lines without torch or fedcore.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]
WIDTHS = (64, 128, 256, 512)


def model() -> Arrays:
    """resnet18 with 2 classes: 122 arrays, 11.2 million float32 and 20 int64 counters."""
    random = np.random.default_rng(0)
    return {name: _filled(name, shape, random) for name, shape in _shapes().items()}


def perturbed(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """What a party returns at once: every number a little different, every counter one on."""
    return {
        name: np.asarray(array + array.dtype.type(1 if array.dtype.kind == "i" else 1e-3))
        for name, array in arrays.items()
    }


def require_rounds(arrays: Mapping[str, np.ndarray], rounds: int) -> None:
    """End the process unless every round has changed the model: a failed one is no fast one."""
    counted = float(arrays["bn1.num_batches_tracked"])
    if counted != rounds:
        sys.exit(f"the counter says {counted:g} after {rounds} rounds")


def mark(path: Path) -> None:
    """Note that a round has begun or ended now, by the clock that all processes share."""
    with path.open("a", encoding="ascii") as file:
        file.write(f"{time.monotonic()}\n")


def _filled(name: str, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
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
    return {**{f"{name}.{one}": (width,) for one in kinds}, f"{name}.num_batches_tracked": ()}
