"""The columns of a folder of images: classes, images of a patient, pixel values, scanners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from fedcore.config.columns import (
    IMAGES_EACH,
    PIXELS,
    SCANNERS,
    split_layout,
)
from fedcore.data.columns import CategoricalColumn, Column, NumericColumn
from fedcore.data.images import Pixels
from fedcore.data.samples import Sample
from fedcore.data.splits import SPLITS, Split
from fedcore.data.suppression import Ints
from fedcore.statistics import LONGEST_LABEL, Level

GREY_LEVELS = 256


class StoredImages(Protocol):
    """Images as they lie in the cache, where a grey one has a single channel."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width as the network is given them."""

    def __len__(self) -> int:
        """N."""

    def stored(self, index: int) -> Pixels:
        """The image at `index`: (C, H, W) or (1, H, W)."""


@dataclass(frozen=True)
class ImageColumns:
    """The columns of `samples`; `train` holds the training images in the samples' order."""

    samples: Sequence[Sample] = field(repr=False)
    classes: tuple[str, ...]
    train: StoredImages = field(repr=False)

    def __call__(self, level: Level) -> Sequence[Column]:
        """The columns that `fedcore.config.columns.layouts` names, in its order."""
        if level == "none":
            return ()
        counted: list[Column] = [self._classes(split) for split in SPLITS]
        if level == "counts":
            return counted
        return [*counted, self._images_each(), self._pixels(), *self._scanners()]

    def _classes(self, split: Split) -> CategoricalColumn:
        chosen = [sample for sample in self.samples if sample.split == split]
        labels = [sample.label for sample in chosen for _ in range(sample.images)]
        return CategoricalColumn.of(split_layout(split, self.classes), labels, _whose(chosen))

    def _images_each(self) -> NumericColumn:
        _, images = np.unique(_whose(self._training()), return_counts=True)
        return NumericColumn.of(IMAGES_EACH, images.astype(np.float64))

    def _pixels(self) -> NumericColumn:
        """Every value of every training image, as (patient, grey level, how often)."""
        levels = _levels(self.train, _whose(self._training()))
        patients, values = np.nonzero(levels)
        counts = levels[patients, values]
        return NumericColumn(PIXELS, values.astype(np.float64), patients, counts)

    def _scanners(self) -> list[CategoricalColumn]:
        chosen = self._training()
        whose = _whose(chosen)
        columns = []
        for layout in SCANNERS:
            texts = [_clean(sample.facts.scanner.get(layout.name, "")) for sample in chosen]
            values = [
                text for text, one in zip(texts, chosen, strict=True) for _ in range(one.images)
            ]
            columns.append(CategoricalColumn.of(layout, values, whose))
        return columns

    def _training(self) -> list[Sample]:
        return [sample for sample in self.samples if sample.split == "train"]


def _whose(samples: Sequence[Sample]) -> Ints:
    """(N,): a number for the patient of each image."""
    numbers: dict[str, int] = {}
    whose = [
        numbers.setdefault(sample.patient, len(numbers))
        for sample in samples
        for _ in range(sample.images)
    ]
    return np.array(whose, np.int64)


def _levels(images: StoredImages, whose: Ints) -> Ints:
    """(P, 256): how many pixels of each patient have which value, over all channels."""
    levels = np.zeros((int(whose.max()) + 1 if len(whose) else 0, GREY_LEVELS), np.int64)
    for index, patient in enumerate(whose):
        pixels = images.stored(index)
        found = np.bincount(pixels.ravel(), minlength=GREY_LEVELS)
        levels[patient] += found * (images.shape[0] // pixels.shape[0])
    return levels


def _clean(text: str) -> str | None:
    """A header's text as a label: printable, short; `None` where nothing is left."""
    shown = "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in text)
    return " ".join(shown.split())[:LONGEST_LABEL].strip() or None
