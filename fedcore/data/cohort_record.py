"""What a party's data come to, of images or of a table: sets to train on, and what may be said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from fedcore.data.columns import Columns, no_columns
from fedcore.data.images import ImageSet

if TYPE_CHECKING:  # it would load the decoders, which an open cohort is done with
    from fedcore.data.samples import SetAside


@dataclass(frozen=True)
class Cohort:
    """What a party trains on and what it may say about it.

    `quarantine` counts files set aside by reason; `scanners` counts usable files by manufacturer,
    model, modality, photometric interpretation, bits and transfer syntax; `images` is split ->
    class -> images; `split_patients` is split -> patients. `faults` says how the data breaks the
    contract, `notes` what should be known. `set_aside` names files: it is for the hospital's eyes
    alone and never leaves it. A table's `unit` is the row: `files` and `images` count rows.
    `columns` counts the raw data for the statistics, when asked.
    """

    classes: tuple[str, ...]
    train: ImageSet
    validation: ImageSet
    test: ImageSet
    contract_hash: str
    preprocessing_hash: str
    files: int
    patients: int
    split_patients: dict[str, int]
    images: dict[str, dict[str, int]]
    quarantine: dict[str, int]
    scanners: dict[str, dict[str, int]]
    faults: tuple[str, ...]
    notes: tuple[str, ...]
    set_aside: tuple[SetAside, ...] = field(repr=False)
    unit: Literal["image", "row"] = "image"
    contents: frozenset[str] = field(repr=False, default=frozenset())
    columns: Columns = field(repr=False, compare=False, default=no_columns)

    @property
    def class_counts(self) -> dict[str, int]:
        """Usable images of each class over all splits."""
        return {name: sum(split[name] for split in self.images.values()) for name in self.classes}
