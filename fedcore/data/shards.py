"""Shards: the immutable files of the pixel cache, each holding up to some hundred uint8 images.

A shard is written under a temporary name, synced, and renamed: it is whole or it is not there, so
`kill -9` in the middle of writing and two processes on one folder do no harm. Layout: one line
`fedcore-shard-1 LENGTH CRC32`, the table of entries as JSON of that length, zeros up to a multiple
of 4096, then the images (n, C, H, W). Every image has a CRC-32, so that damage is found and the
image is decoded again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedcore.data.images import Pixels

SUFFIX = ".shard"
_TEMPORARY = ".tmp"
_MAGIC = b"fedcore-shard-1"
_PAGE = 4096
_HEAD = 64  # bytes of the first line, padded with blanks


@dataclass(frozen=True)
class Shard:
    """An open shard: `pixels` (n, C, H, W) mapped from the file, `rows` key -> row number."""

    path: Path
    pixels: Pixels
    rows: dict[str, int]
    checks: tuple[int, ...]

    def intact(self, key: str) -> bool:
        """Whether the image under `key` still has its checksum."""
        row = self.rows[key]
        return zlib.crc32(self.pixels[row].data) == self.checks[row]


def write_shard(folder: Path, images: dict[str, Pixels]) -> Path:
    """Write images of one shape (C, H, W) as a new shard of `folder`, synced; return its path."""
    stacked = np.stack(list(images.values()))
    checks = [zlib.crc32(image.data) for image in stacked]
    table = json.dumps({"keys": list(images), "checks": checks, "shape": stacked.shape}).encode()
    head = b"%s %d %d" % (_MAGIC, len(table), zlib.crc32(table))
    before = head.ljust(_HEAD - 1) + b"\n" + table
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (secrets.token_hex(16) + SUFFIX)
    temporary = path.with_suffix(_TEMPORARY)
    try:
        _write_synced(temporary, before + b"\0" * (-len(before) % _PAGE), stacked)
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def open_shard(path: Path) -> Shard | None:
    """Map a shard; None if it is damaged, cut short or gone."""
    try:
        return _opened(path)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files whose writer is no longer alive."""
    for path in folder.glob("*" + _TEMPORARY):
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _write_synced(path: Path, head: bytes, pixels: Pixels) -> None:
    with path.open("xb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # tells a writer at work from one that was killed
        file.write(head)
        file.write(pixels.data)
        file.flush()
        os.fsync(file.fileno())


def _opened(path: Path) -> Shard:
    with path.open("rb") as file:
        magic, length, crc = file.read(_HEAD).split()
        table = file.read(int(length))
    if magic != _MAGIC or zlib.crc32(table) != int(crc):
        raise ValueError("the table of entries is damaged")
    content = json.loads(table)
    start = _HEAD + len(table)
    shape = tuple(content["shape"])
    pixels = np.memmap(path, np.uint8, "r", start + -start % _PAGE, shape)
    rows = {key: row for row, key in enumerate(content["keys"])}
    return Shard(path, pixels, rows, tuple(content["checks"]))
