"""Disks that can be filled: a small file system in memory, and what fills it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BLOCK = 1 << 16


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A new folder on a disk of its own, of so many megabytes; what it holds is kept afterwards."""
    folder.mkdir(parents=True)
    size = f"size={megabytes}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "fedcore-small", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


@contextmanager
def ballast(folder: Path) -> Iterator[None]:
    """The disk of a folder, full to the last byte."""
    path = folder / "ballast"
    _fill(path)
    try:
        yield
    finally:
        path.unlink()


def _fill(path: Path) -> None:
    for size in (BLOCK, 1):
        with path.open("ab", buffering=0) as file:
            try:
                while file.write(bytes(size)):
                    continue
            except OSError:
                continue
