"""The objects of a folder: names that can be part of a key, without links and what is hidden."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from fedcore.exchange.keys import SEGMENT


def files_below(folder: Path, prefix: str, after: str) -> Iterator[str]:
    """Keys of the objects in and below `folder`, leaving out folders that end before `after`."""
    if prefix < after and not after.startswith(prefix):
        return
    for name, is_folder in _listed(folder):
        if is_folder:
            yield from files_below(folder / name, f"{prefix}{name}/", after)
        else:
            yield prefix + name


def _listed(folder: Path) -> list[tuple[str, bool]]:
    """Names in a folder that can be part of a key, and whether each is a folder itself."""
    try:
        with os.scandir(folder) as found:
            return [
                (entry.name, entry.is_dir(follow_symlinks=False))
                for entry in found
                if SEGMENT.fullmatch(entry.name) and not entry.is_symlink()
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []
