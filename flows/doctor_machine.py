"""What the doctor looks at on the machine itself: libraries, decoders, processors, disk."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from fedcore.config.training import TrainingSection
from fedcore.errors import FedcoreError
from flows.doctor_finding import Finding, lacking, well

OLDEST_PYTHON = (3, 11)
ENOUGH_BYTES = 5 << 30  # the exchange of a long training and the cache of decoded images
REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)([^;]*)(?:;\s*extra == [\"'](\w+)[\"'])?")
BOUND = re.compile(r"(>=|<)\s*([0-9.]+)")
EXTRAS = ("", "flows", "party")
INSTALL = "pip install -e '.[flows,party]' in the checkout of fedcore"


@dataclass(frozen=True)
class Need:
    """A library that fedcore needs: its name and its bounds, such as `>=3.8`."""

    name: str
    bounds: str

    def allows(self, version: str) -> bool:
        """Whether a version lies within the bounds."""
        found = _numbers(version)
        for sign, bound in BOUND.findall(self.bounds):
            above = found >= _numbers(bound)
            if above != (sign == ">="):
                return False
        return True


def python() -> Finding:
    """The Python that runs this."""
    shown = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        return lacking("python", f"{shown} is too old: use Python 3.11 or newer")
    return well("python", shown)


def libraries() -> Iterator[Finding]:
    """Each library that the package itself says it needs, for parties and flows."""
    try:
        written = metadata.requires("fedcore") or []
    except metadata.PackageNotFoundError:
        yield lacking("fedcore", f"it runs without being installed: {INSTALL}")
        return
    for need in needs(written):
        yield library(need)


def needs(written: list[str]) -> list[Need]:
    """Requirements as package metadata writes them, without those of developers."""
    matched = [found for text in written if (found := REQUIREMENT.match(text))]
    return [Need(found[1], found[2].strip()) for found in matched if (found[3] or "") in EXTRAS]


def library(need: Need) -> Finding:
    """Whether a library is installed in a version that fits."""
    try:
        version = metadata.version(need.name)
    except metadata.PackageNotFoundError:
        return lacking(need.name, f"it is not installed: {INSTALL}")
    if not need.allows(version):
        wanted = f"{need.name}{need.bounds}"
        return lacking(need.name, f"{version} does not fit: pip install '{wanted}'")
    return well(need.name, f"{version} ({need.bounds})")


def decoders() -> Iterator[Finding]:
    """Each transfer syntax, tried on a tiny image; one line for all that decode."""
    try:
        # pydicom and its decoders are a party's alone and may be missing.
        from fedcore.data.decoders import decodable  # noqa: PLC0415
    except ImportError as away:
        yield lacking("DICOM decoding", f"{away.name or 'pydicom'} cannot be imported: {INSTALL}")
        return
    tried = decodable()
    good = [name for name, decodes in tried.items() if decodes]
    if good:
        yield well("DICOM decoding", ", ".join(good))
    for name in tried.keys() - set(good):
        yield lacking("DICOM decoding", f"{name} cannot be decoded here: {INSTALL}")


def hardware(section: TrainingSection) -> Finding:
    """What a party of this machine would train on."""
    try:
        # torch takes seconds to import, is a party's alone and may be missing or broken.
        from fedcore.training.hardware import this_machine  # noqa: PLC0415

        found = this_machine(section)
    except (ImportError, OSError) as away:
        return lacking("training", f"torch cannot be imported ({_brief(away)}): {INSTALL}")
    except FedcoreError as refused:
        return lacking("training", str(refused))
    if found.device == "cuda":
        return well("training", f"on the GPU, {'bfloat16' if found.bfloat16 else 'float32'}")
    cores = os.cpu_count() or 1
    return well("training", f"on the CPU, threads: {found.threads} (logical cores: {cores})")


def disk(output: Path) -> Finding:
    """Whether results can be written to `output`, and how much room there is."""
    place = output.resolve()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        return lacking("disk", f"{place}: this is a file: choose another --output")
    if not os.access(place, os.W_OK | os.X_OK):
        return lacking("disk", f"{place}: it may not be written to: choose another --output")
    free = shutil.disk_usage(place).free
    shown = f"{free / 2**30:.1f} GiB are free where {output} goes"
    if free < ENOUGH_BYTES:
        return lacking("disk", f"{shown}: make room for {ENOUGH_BYTES >> 30} GiB")
    return well("disk", shown)


def _numbers(version: str) -> tuple[int, ...]:
    """The release's numbers: `2.14.1+cpu` is (2, 14, 1)."""
    release = re.match(r"[0-9.]+", version)
    parts = release[0].strip(".").split(".") if release else []
    numbers = [int(part) for part in parts if part]
    return tuple(numbers + [0] * (4 - len(numbers)))


def _brief(away: Exception) -> str:
    return (str(away).splitlines() or [type(away).__name__])[0][:120]
