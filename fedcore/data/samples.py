"""From judged files and labels to samples: duplicates out, patients grouped, splits given.

Everything here is independent of the order and, where a file says who its patient is, of the names
of the files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from fedcore.data.facts import Facts, digest_of
from fedcore.data.intake import Known
from fedcore.data.labels import Label
from fedcore.data.splits import Split, split_of
from fedcore.errors import DataError


@dataclass(frozen=True)
class Sample:
    """One usable content: its label, its patient's digest, its split and its number of images."""

    content: str
    images: int
    label: str
    patient: str
    split: Split | None
    facts: Facts


@dataclass(frozen=True)
class SetAside:
    """One file that is not used, by relative path, and the countable reason."""

    path: str
    reason: str


@dataclass(frozen=True)
class Candidate:
    """A readable, labelled file."""

    known: Known
    label: Label
    facts: Facts


def sort_out(
    files: Sequence[Known], labels: Sequence[Label | None]
) -> tuple[list[Sample], list[SetAside]]:
    """Usable contents sorted by content hash, and the files set aside sorted by path."""
    aside: list[SetAside] = []
    by_content: dict[str, list[Candidate]] = defaultdict(list)
    for known, label in zip(files, labels, strict=True):
        if known.verdict.facts is None:
            aside.append(SetAside(known.file.path, known.verdict.reason or "unreadable"))
        elif label is None:
            aside.append(SetAside(known.file.path, "no_label"))
        else:
            by_content[known.content].append(Candidate(known, label, known.verdict.facts))
    samples = []
    for content in sorted(by_content):
        same = by_content[content]
        conflict = _conflict(same)
        unused = same if conflict else same[1:]
        aside += [SetAside(one.known.file.path, conflict or "duplicate") for one in unused]
        if not conflict:
            samples.append(_sample(same))
    return samples, sorted(aside, key=lambda one: one.path)


def give_splits(samples: Iterable[Sample], validation: float, test: float) -> list[Sample]:
    """Every sample with a split: the one its patient was given by name, else the patient's hash.

    Raises `DataError` when one patient was given two.
    """
    samples = list(samples)
    given: dict[str, Split] = {}
    for sample in samples:
        if sample.split and given.setdefault(sample.patient, sample.split) != sample.split:
            pair = " and ".join(sorted({sample.split, given[sample.patient]}))
            raise DataError(
                f"labels: split puts one patient's images into {pair}: "
                "give all images of a patient the same split"
            )
    return [
        replace(one, split=given.get(one.patient) or split_of(one.patient, validation, test))
        for one in samples
    ]


def _conflict(same: Sequence[Candidate]) -> str:
    """Why files of one content cannot be used at all, empty if they can."""
    if len({one.label.name for one in same}) > 1:
        return "conflicting_label"
    if len({one.label.patient for one in same} - {""}) > 1:
        return "conflicting_patient"
    if len({one.label.split for one in same} - {None}) > 1:
        return "conflicting_split"
    return ""


def _sample(same: Sequence[Candidate]) -> Sample:
    first = same[0]
    named = max(one.label.patient for one in same)
    patient = named or first.facts.patient or min(_nameless_patient(one) for one in same)
    split = next((one.label.split for one in same if one.label.split), None)
    frames = first.known.verdict.frames
    return Sample(first.known.content, frames, first.label.name, patient, split, first.facts)


def _nameless_patient(candidate: Candidate) -> str:
    """A file that says nothing: a picture is its name's patient, anything else its own."""
    if candidate.facts.kind == "dicom":
        return digest_of("content", candidate.known.content)
    return digest_of("patient", PurePosixPath(candidate.known.file.path).stem)
