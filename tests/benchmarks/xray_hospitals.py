"""Three hospitals of real chest radiographs as DICOM folders: who gets which patients, how encoded.

A and B share the children's radiographs by patient (A mostly bacterial pneumonia, B mostly viral),
C has the adults. Only the encoding differs from one to the other; grey levels stay as published.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from fedcore.data import decode_file
from fedcore.data.images import Pixels
from fedcore.data.phantom_looks import LOOKS, Look, Stored
from fedcore.data.phantoms import Exposure, dicom_file

A, B, C = "9999", "10000", "10001"
HOSPITALS = {A: "A", B: "B", C: "C"}
CLASSES = ("NORMAL", "PNEUMONIA")
# Two thirds pneumonia, as in the published set; its kinds divide 85 to 15 and the other way round.
MIXES = {
    A: {"none": 1 / 3, "bacteria": 0.85 * 2 / 3, "virus": 0.15 * 2 / 3},
    B: {"none": 1 / 3, "bacteria": 0.15 * 2 / 3, "virus": 0.85 * 2 / 3},
}
ADULT_FOLDS = 3


@dataclass(frozen=True)
class Radiograph:
    """One published image; `kind` is none (no pneumonia), bacteria, virus, or pneumonia."""

    path: Path
    patient: str
    kind: str

    @property
    def label(self) -> str:
        """The class of the two that it shows."""
        return CLASSES[self.kind != "none"]


Splits = dict[str, list[Radiograph]]


def allot(shared: Path, images: int, seed: int) -> dict[str, Splits]:
    """Party id -> split -> radiographs; `images` is how many A and B each train on.

    Every seed draws other children and takes another third of the adults for the test. Test splits
    hold one image per patient, so that their images are independent.
    """
    children = _by_kind(_children(shared / "chest_xray_children"))
    rng = np.random.default_rng([seed, 1])
    queues = {kind: _shuffled(patients, rng) for kind, patients in sorted(children.items())}
    sizes = {"test": images, "validation": images // 4, "train": images}
    allotted = {party: _draw(queues, mix, sizes) for party, mix in MIXES.items()}
    return {**allotted, C: _fold(_adults(shared / "chest_xray_adults"), seed % ADULT_FOLDS)}


def write_hospital(folder: Path, splits: Splits, look: Look, seed: int) -> None:
    """The hospital's DICOM files and its labels.csv; one file per transfer syntax is read back."""
    folder.mkdir(parents=True, exist_ok=True)
    patients: dict[str, int] = {}
    rows, taken = ["file,label,split"], defaultdict[str, int](int)
    for split, one in ((split, one) for split, found in splits.items() for one in found):
        number = patients.setdefault(one.patient, len(patients))
        exposure = Exposure(folder.name, number, taken[one.patient], one.label == CLASSES[1])
        syntax = look.syntaxes[len(rows) % len(look.syntaxes)]
        path = folder / exposure.name
        _write(path, one, exposure, replace(look, syntaxes=(syntax,)), seed)
        if len(rows) <= len(look.syntaxes):
            _require_unchanged(path, one)
        taken[one.patient] += 1
        rows.append(f"{exposure.name},{one.label},{split}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def looks() -> dict[str, Look]:
    """How each hospital encodes; a window over all stored values keeps every grey level."""
    return {party: replace(LOOKS[party], windowed=True) for party in HOSPITALS}


def _children(folder: Path) -> Iterator[Radiograph]:
    """The children's radiographs; of images with the same pixels the first."""
    seen = set()
    for row in _rows(folder):
        if row["pixel_md5"] not in seen:
            seen.add(row["pixel_md5"])
            yield Radiograph(folder / row["file"], row["patient"], row["subtype"])


def _adults(folder: Path) -> list[list[Radiograph]]:
    """The adults whose scanners match between the classes, by patient, pneumonia first."""
    patients: dict[str, list[Radiograph]] = defaultdict(list)
    for row in (row for row in _rows(folder) if row["matched"] == "1"):
        kind = ("none", "pneumonia")[int(row["label"])]
        patients[row["patient_id"]].append(
            Radiograph(folder / row["file"], row["patient_id"], kind)
        )
    return [sorted(found, key=lambda one: one.label, reverse=True) for found in patients.values()]


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _by_kind(radiographs: Iterable[Radiograph]) -> dict[str, list[list[Radiograph]]]:
    """Kind -> patients -> their radiographs; no child has two kinds."""
    patients: dict[str, list[Radiograph]] = defaultdict(list)
    for one in radiographs:
        patients[one.patient].append(one)
    kinds: dict[str, list[list[Radiograph]]] = defaultdict(list)
    for found in patients.values():
        kinds[found[0].kind].append(found)
    return kinds


def _shuffled(
    patients: Sequence[list[Radiograph]], rng: np.random.Generator
) -> list[list[Radiograph]]:
    return [patients[place] for place in rng.permutation(len(patients))]


def _draw(
    queues: Mapping[str, list[list[Radiograph]]],
    mix: Mapping[str, float],
    sizes: Mapping[str, int],
) -> Splits:
    """Take patients off the queues until each split has its images of each kind."""
    splits: Splits = {split: [] for split in sizes}
    for split, size in sizes.items():
        for kind, share in mix.items():
            wanted, found = round(size * share), list[Radiograph]()
            while len(found) < wanted:
                patient = queues[kind].pop()
                found += patient[:1] if split == "test" else patient
            splits[split] += found[:wanted]
    return splits


def _fold(patients: list[list[Radiograph]], fold: int) -> Splits:
    """A third of the patients for the test, a sixth of the others for validation, by class."""
    splits: Splits = {"test": [], "validation": [], "train": []}
    rng = np.random.default_rng([0, 2])
    for label in CLASSES:
        same = _shuffled([one for one in patients if one[0].label == label], rng)
        splits["test"] += [one[0] for one in same[fold::ADULT_FOLDS]]
        rest = [one for place, one in enumerate(same) if place % ADULT_FOLDS != fold]
        splits["validation"] += [image for one in rest[::6] for image in one]
        splits["train"] += [image for n, one in enumerate(rest) if n % 6 for image in one]
    return splits


def _write(path: Path, one: Radiograph, exposure: Exposure, look: Look, seed: int) -> None:
    path.write_bytes(dicom_file(_stored(_grey(one.path), look), exposure, look, seed))


def _grey(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


def _stored(pixels: Pixels, look: Look) -> Stored:
    """8-bit grey levels spread over the stored bits, inverted for MONOCHROME1."""
    full = 2**look.bits - 1
    values = np.rint(pixels * (full / 255)).astype(np.uint16)
    return np.asarray(full - values if look.photometric == "MONOCHROME1" else values, np.uint16)


def _require_unchanged(path: Path, one: Radiograph) -> None:
    if not np.array_equal(decode_file(path).frames[0], _grey(one.path)):
        raise ValueError(f"{path.name}: encoding changed the pixels of a published radiograph")
