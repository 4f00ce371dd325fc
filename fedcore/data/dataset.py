"""`MedicalImageDataset`: a folder of medical images as a plain torch dataset.

For data scientists at their own desk: it decodes on access and knows neither cache nor splits.
Training uses `open_cohort`, which reads the same pixels and is an order of magnitude faster.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.utils.data import Dataset
from torchvision.transforms import v2

from fedcore.config.data import DataSection
from fedcore.data.decode import decode_file
from fedcore.data.intake import Recipe, headers, list_files
from fedcore.data.labels import Label, assign, open_labels
from fedcore.data.preprocess import Preprocessing
from fedcore.errors import DataError, Quarantined, nearest, problem

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def default_transform(size: int = 224) -> Callable[[Any], torch.Tensor]:
    """The published transform: Resize 256, CenterCrop 224, to [0, 1], Normalize by ImageNet.

    Other sizes keep the ratio 256 / 224. Input is a pillow image, output float32 (3, size, size).
    """
    steps: Callable[[Any], torch.Tensor] = v2.Compose(
        [
            v2.Resize(round(size * 256 / 224)),
            v2.CenterCrop(size),
            v2.RGB(),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
    return steps


class MedicalImageDataset(Dataset[tuple[torch.Tensor, int]]):
    """(tensor, class number) of every labelled image of a folder: DICOM, PNG or JPEG.

    Labels come from sub-folders, `labels.csv` or `labels.parquet`, or as `rules` say; `classes`
    gives their order (default: sorted names). `transform` takes a pillow image (`L` or `RGB`) and
    defaults to `default_transform()`. `exclude` names files to leave out by relative path, such as
    those in `Cohort.set_aside`. A file that cannot be decoded raises `DataError` when it is read.
    """

    def __init__(
        self,
        local_dir: Path | str,
        transform: Callable[[Any], torch.Tensor] | None = None,
        *,
        classes: Sequence[str] | None = None,
        rules: DataSection | None = None,
        exclude: Collection[str] = (),
    ) -> None:
        self._folder = Path(local_dir)
        self._rules = rules or DataSection()
        self._transform = transform or default_transform()
        labelled = [one for one in self._labelled() if one[0] not in exclude]
        names = sorted({label.name for _, label in labelled})
        self.classes = tuple(classes) if classes else tuple(names)
        unknown = [name for name in names if name not in self.classes]
        if unknown:
            remedy = f"unknown class; {nearest(unknown[0], self.classes)}"
            raise DataError(problem(self._folder, "label", unknown[0], remedy))
        self.samples = [(path, self.classes.index(label.name)) for path, label in labelled]

    def __len__(self) -> int:
        """How many labelled images there are."""
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Decode and transform one image."""
        path, label = self.samples[index]
        try:
            frame = decode_file(self._folder / path, self._rules.frame).frames[0]
        except Quarantined as reason:
            remedy = "mend or remove it, or name it in exclude"
            raise DataError(f"{path}: the image cannot be used ({reason}): {remedy}") from None
        return self._transform(Image.fromarray(frame)), label

    def _labelled(self) -> list[tuple[str, Label]]:
        files = list_files(self._folder)
        source = open_labels(self._folder, self._rules, [file.path for file in files])
        recipe = Recipe(Preprocessing(3, 224, 224), source.attribute)
        labels = assign(source, headers(self._folder, files, recipe, read=source.needs_headers))
        return [(file.path, label) for file, label in zip(files, labels, strict=True) if label]
