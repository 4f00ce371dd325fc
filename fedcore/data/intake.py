"""From a folder to verdicts and cached pixels: every file is read and decoded at most once.

Phase one asks the index which files are known and the cache which of their images are there; phase
two decodes the rest, in worker processes if asked to. It can be killed at any moment and goes on
where it was.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from fedcore.data.cache import PixelCache
from fedcore.data.decode import decode_content, read_content
from fedcore.data.dicom import is_dicom, read_dicom, read_facts
from fedcore.data.facts import Verdict
from fedcore.data.images import Pixels
from fedcore.data.index import FileId, Index
from fedcore.data.preprocess import Preprocessing
from fedcore.errors import DataError, Quarantined

Progress = Callable[[int, int], None]
# Files that lie beside studies and are no studies; anything else is read and judged.
_BESIDE = {".csv", ".parquet", ".json", ".txt", ".md", ".yaml", ".yml", ".xml", ".html", ".pdf"}
_NAMES = {"dicomdir", "thumbs.db", "desktop.ini"}
_WORKER_BATCH = 64
# Processes take seconds until they decode: they are started once so many files have shown that
# decoding the rest in this one would take so many seconds.
_SHOWN, WORTH_SECONDS = 8, 15.0


@dataclass(frozen=True)
class Known:
    """A file whose content is known: its hash and what came of reading it."""

    file: FileId
    content: str
    verdict: Verdict


@dataclass(frozen=True)
class Recipe:
    """How a file is read: what is done to its frames, which attribute is remembered."""

    preprocessing: Preprocessing
    attribute: str | None = None

    def rule(self) -> str:
        """What verdicts depend on beside the content."""
        steps = self.preprocessing
        return f"{steps.version}|{steps.frame}|{self.attribute or ''}"


def decoding_workers(cores: int) -> int:
    """How many processes decode on a machine of so many logical cores.

    Half of them, as they come in pairs that share what decoding needs, but both where there are
    two: whoever takes in the files only waits meanwhile.
    """
    return min(cores, max(2, cores // 2))


def list_files(folder: Path) -> tuple[FileId, ...]:
    """Every candidate file under `folder`, sorted by relative path; raises `DataError`."""
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such data folder: check the path")
    found = []
    for place, folders, names in os.walk(folder, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(place, name)
            if _is_candidate(name) and path.is_file():
                state = path.stat()
                relative = path.relative_to(folder).as_posix()
                found.append(FileId(relative, state.st_size, state.st_mtime_ns))
    if not found:
        raise DataError(f"{folder}: the data folder holds no image: put DICOM, PNG or JPEG into it")
    return tuple(sorted(found, key=lambda file: file.path))


def take_in(
    folder: Path,
    files: tuple[FileId, ...],
    recipe: Recipe,
    index: Index,
    cache: PixelCache,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[Known]:
    """Verdicts on all `files`, in their order, with every usable image in the cache."""
    known = {file.path: found for file in files if (found := _recall(file, index, cache))}
    missing = [file for file in files if file.path not in known]
    done = len(known)
    if progress:
        progress(done, len(files))
    for file, result in zip(missing, _read_all(folder, missing, recipe, workers), strict=True):
        known[file.path] = _keep(file, result, index, cache)
        done += 1
        if progress:
            progress(done, len(files))
    cache.flush()
    index.commit()
    return [known[file.path] for file in files]


def image_key(content: str, number: int) -> str:
    """The cache's key of the `number`-th image that a content gave."""
    return f"{content}:{number}"


@dataclass(frozen=True)
class Reading:
    """A file read and preprocessed; `images` are uint8 (C, H, W)."""

    content: str
    verdict: Verdict
    images: tuple[Pixels, ...] = ()


def read_file(path: Path, recipe: Recipe) -> Reading:
    """Hash, decode and preprocess one file; a file that cannot be used has a verdict saying so."""
    content_hash = ""
    try:
        content = read_content(path)
        content_hash = hashlib.sha256(content).hexdigest()
        decoded = decode_content(content, recipe.preprocessing.frame, recipe.attribute)
        images = tuple(recipe.preprocessing.apply(frame) for frame in decoded.frames)
    except Quarantined as reason:
        return Reading(content_hash, Verdict(0, reason.reason, reason.detail))
    return Reading(content_hash, Verdict(len(images), facts=decoded.facts), images)


def headers(folder: Path, files: tuple[FileId, ...], recipe: Recipe, *, read: bool) -> list[Known]:
    """As `take_in`, from headers alone, and without even these unless `read`; nothing is cached."""
    verdicts = (_header(folder / file.path, recipe) if read else Verdict(1) for file in files)
    return [Known(file, "", verdict) for file, verdict in zip(files, verdicts, strict=True)]


def _header(path: Path, recipe: Recipe) -> Verdict:
    try:
        content = read_content(path)
        if not is_dicom(content):
            return Verdict(1)
        return Verdict(1, facts=read_facts(read_dicom(content), recipe.attribute))
    except Quarantined as reason:
        return Verdict(0, reason.reason, reason.detail)


def _recall(file: FileId, index: Index, cache: PixelCache) -> Known | None:
    content = index.content_of(file)
    verdict = index.verdict_on(content) if content else None
    if content is None or verdict is None:
        return None
    keys = (image_key(content, number) for number in range(verdict.frames))
    return Known(file, content, verdict) if all(key in cache for key in keys) else None


def _keep(file: FileId, reading: Reading, index: Index, cache: PixelCache) -> Known:
    written = False
    for number, image in enumerate(reading.images):
        key = image_key(reading.content, number)
        written |= key not in cache and cache.add(key, image)
    if reading.content:  # a file that could not be read at all is tried again next time
        index.remember(file, reading.content, reading.verdict)
    if written:
        index.commit()
    return Known(file, reading.content, reading.verdict)


def _read_all(
    folder: Path,
    files: list[FileId],
    recipe: Recipe,
    workers: int,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Reading]:
    paths, begun = [folder / file.path for file in files], clock()
    read, waiting = partial(read_file, recipe=recipe), iter(paths)
    for number, path in enumerate(waiting, start=1):
        yield read(path)
        left = (clock() - begun) / number * (len(paths) - number)
        if workers > 1 and number >= _SHOWN and left > WORTH_SECONDS:
            break
    rest = list(waiting)
    if rest:
        yield from _read_together(rest, read, workers)


def _read_together(
    paths: list[Path], read: Callable[[Path], Reading], workers: int
) -> Iterator[Reading]:
    # Spawned, not forked: the caller may hold threads and a GPU.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = iter(paths)
        while batch := list(islice(waiting, _WORKER_BATCH * workers)):
            yield from pool.map(read, batch, chunksize=4)


def _is_candidate(name: str) -> bool:
    lowered = name.lower()
    hidden = lowered.startswith(".") or lowered in _NAMES
    return not hidden and Path(lowered).suffix not in _BESIDE
