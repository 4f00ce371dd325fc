"""How fast updates are packed and unpacked: `python tests/benchmarks/codecs_speed.py`.

Fills the table of docs/codecs.md with `--write`. One core; GB/s of the update's float32 numbers,
the best of several turns, because other work on the machine only ever takes away.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from typed import options

from fedcore.config.update import CODECS
from fedcore.exchange import codec, packing
from fedcore.params import Params, schema
from fedcore.strategies.mean import WeightedMean

PAGE = Path(__file__).resolve().parents[2] / "docs" / "codecs.md"
MARK = "<!-- speed -->\n"
HEAD = """\
| codec | bytes | pack, GB/s | unpack, GB/s | unpack and add, GB/s |
|---|---|---|---|---|
"""


def main() -> None:
    parser = options(__doc__, turns=5)
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    args = parser.parse_args()
    update = like_resnet18()
    rows = [row(update, name, args.turns) for name in CODECS]
    flat = np.concatenate([np.ravel(array) for array in update.values()])
    copied = speed(flat.copy, flat.nbytes, args.turns)
    text = HEAD + "".join(rows) + f"| numpy's copy | 1 | {copied:.1f} | | |\n"
    print(text)
    if args.write:
        before, _, _ = PAGE.read_text("utf-8").partition(MARK)
        PAGE.write_text(before + MARK + text, "utf-8")


def like_resnet18() -> Params:
    """Layers of the sizes of resnet18's, 11 million numbers in all."""
    random = np.random.default_rng(0)
    update: Params = {}
    for stage, (width, before) in enumerate([(64, 64), (128, 64), (256, 128), (512, 256)]):
        for number in range(4):
            inputs = before if number == 0 else width
            weight = random.standard_normal((width, inputs, 3, 3), np.float32) * 1e-3
            update[f"{stage}.{number}.weight"] = weight
            update[f"{stage}.{number}.bias"] = random.standard_normal(width, np.float32)
    return update


def speeds(update: Params, name: str, turns: int) -> dict[str, float]:
    """GB/s of packing, unpacking, and unpacking and adding; and bytes as a share of float32's."""
    size = sum(array.nbytes for array in update.values())
    packed = packing.pack(update, name, 0.01, 0)
    unpacked = packing.Unpacked(packed, name, schema(update))
    mean = WeightedMean()
    return {
        "share": len(codec.encode(packed)) / size,
        "pack": speed(lambda: packing.pack(update, name, 0.01, 0), size, turns),
        "unpack": speed(lambda: dict(unpacked), size, turns),
        "add": speed(lambda: mean.add(unpacked, 1.0), size, turns),
    }


def row(update: Params, name: str, turns: int) -> str:
    found = speeds(update, name, turns)
    if name == "float32":  # nothing is done
        return f"| `{name}` | {found['share']:.3f} | | | {found['add']:.1f} |\n"
    return (
        f"| `{name}` | {found['share']:.3f} | {found['pack']:.1f} | {found['unpack']:.1f} "
        f"| {found['add']:.1f} |\n"
    )


def speed(act: Callable[[], object], size: int, turns: int) -> float:
    """GB/s of the fastest turn."""
    took = []
    for _ in range(turns):
        begun = time.perf_counter()
        act()
        took.append(time.perf_counter() - begun)
    return size / min(took) / 1e9


if __name__ == "__main__":
    main()
