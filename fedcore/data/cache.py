"""The preprocessed cache: a file is decoded once, and every later epoch reads mapped memory.

One folder per preprocessing hash, shards inside. The whole cache is bounded in bytes: to make
room, shards of other preprocessings go first, the longest unused first, then shards of this one
that the cohort at hand does not use. A shard that another process has mapped stays readable to it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from fedcore.data.images import Pixels
from fedcore.data.shards import SUFFIX, Shard, open_shard, remove_leftovers, write_shard
from fedcore.errors import DataError

DEFAULT_LIMIT = 20 * 2**30  # bytes
_SHARD_BYTES = 2**25  # a killed process loses at most this much decoding
_SHARD_IMAGES = 512
_PAGE, _ENTRY_BYTES = 4096, 100  # what a shard holds beside the images, about


class PixelCache:
    """The shards of one preprocessing under `root`, with a bound on the bytes under `root`.

    Keys are texts (content hash and frame number); values are uint8 (C, H, W).
    """

    def __init__(self, root: Path, preprocessing: str, limit: int = DEFAULT_LIMIT) -> None:
        """Open the cache; damaged shards and leftovers of killed writers are removed."""
        self._root = root
        self._folder = root / preprocessing[:32]
        self._limit = limit
        self._buffers: dict[tuple[int, ...], dict[str, Pixels]] = {}
        self._places: dict[str, list[Shard]] = {}
        self._kept: set[Path] = set()
        self._folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self._folder)
        for path in sorted(self._folder.glob("*" + SUFFIX)):
            self._take(path)

    def __contains__(self, key: str) -> bool:
        """Whether an image is there and intact; a damaged one counts as absent."""
        if any(key in buffer for buffer in self._buffers.values()):
            return True
        places = [shard for shard in self._places.get(key, ()) if shard.intact(key)]
        self._places[key] = places
        self._kept.update(shard.path for shard in places[:1])
        return bool(places)

    def add(self, key: str, pixels: Pixels) -> bool:
        """Hold an image (C, H, W) for the next shard; True if this wrote a shard to disk."""
        buffer = self._buffers.setdefault(pixels.shape, {})
        buffer[key] = pixels
        full = len(buffer) >= _SHARD_IMAGES or len(buffer) * pixels.nbytes >= _SHARD_BYTES
        if full:
            self._write(pixels.shape)
        return full

    def flush(self) -> None:
        """Write what is held to disk."""
        for shape in list(self._buffers):
            self._write(shape)

    def locate(self, key: str) -> tuple[Pixels, int]:
        """The mapped array (n, C, H, W) and the row that hold `key`; `LookupError` if absent."""
        shard = self._places[key][0]
        return shard.pixels, shard.rows[key]

    def touch(self) -> None:
        """Mark the shards in use as used now, for the order in which others make room."""
        for path in self._kept:
            with contextlib.suppress(OSError):
                os.utime(path)

    def _take(self, path: Path) -> None:
        shard = open_shard(path)
        if shard is None:
            path.unlink(missing_ok=True)
            return
        for key in shard.rows:
            self._places.setdefault(key, []).append(shard)

    def _write(self, shape: tuple[int, ...]) -> None:
        images = self._buffers.pop(shape)
        self._make_room(sum(image.nbytes + _ENTRY_BYTES for image in images.values()) + _PAGE)
        try:
            path = write_shard(self._folder, images)
        except OSError as fault:
            remedy = "free space on the state folder's disk, or correct its permissions"
            raise DataError(
                f"the pixel cache cannot be written ({fault.strerror}): {remedy}"
            ) from None
        self._take(path)
        self._kept.add(path)

    def _make_room(self, needed: int) -> None:
        """Remove the longest unused shards until `needed` bytes fit under the bound."""
        sizes = dict(_sizes(self._root.glob("*/*" + SUFFIX)))
        excess = sum(sizes.values()) + needed - self._limit
        for path in sorted(sizes.keys() - self._kept, key=self._dispensable):
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            self._forget(path)
            excess -= sizes[path]
        if excess > 0:
            raise DataError(
                f"the pixel cache needs more than its {self._limit} bytes for this cohort: "
                "raise the bound, or ask for a smaller model.input_size"
            )

    def _dispensable(self, path: Path) -> tuple[bool, int, str]:
        with contextlib.suppress(OSError):
            return path.parent == self._folder, path.stat().st_mtime_ns, path.name
        return False, 0, path.name

    def _forget(self, path: Path) -> None:
        for key, places in self._places.items():
            self._places[key] = [shard for shard in places if shard.path != path]


def _sizes(paths: Iterable[Path]) -> Iterable[tuple[Path, int]]:
    for path in paths:
        with contextlib.suppress(OSError):  # another process made room first
            yield path, path.stat().st_size
