"""The normalisation of pixels as plain numbers: agreed in the task file, stored with the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from fedcore.config.data import DataSection
from fedcore.config.model import ModelSection

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Normalisation:
    """Per channel: a pixel in 0..1 becomes (pixel - mean) / std."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def to_json(self) -> dict[str, list[float]]:
        """Plain values."""
        return {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, content: Any) -> Self:
        """The inverse of `to_json`; raises what plain Python raises for anything else."""
        mean, std = ([float(value) for value in content[name]] for name in ("mean", "std"))
        return cls(tuple(mean), tuple(std))


def by_modality(section: DataSection, model: ModelSection) -> dict[str, Normalisation]:
    """The normalisation of each modality's images; nothing where there are none."""
    return {
        name: normalisation(section, model.size_of(name)[0])
        for name in sorted(model.modalities or ())
    }


OWN_NOTE = (
    "trained on images that each party normalised by its own training pixels: give images as "
    "(pixel - mean) / std, pixels in 0..1, mean and std per channel over your own training images"
)


def normalisation(section: DataSection, channels: int) -> Normalisation:
    """ImageNet's constants (for one channel their average), or nothing: mean 0 and std 1.

    Nothing for `own`, too: those numbers are the party's, and stay there.
    """
    if section.normalize in ("none", "own"):
        return Normalisation((0.0,) * channels, (1.0,) * channels)
    if channels == 1:
        return Normalisation((sum(IMAGENET_MEAN) / 3,), (sum(IMAGENET_STD) / 3,))
    return Normalisation(IMAGENET_MEAN, IMAGENET_STD)


def described(section: DataSection, channels: int) -> dict[str, object]:
    """The normalisation as a served model's description has it."""
    constants = normalisation(section, channels)
    plain: dict[str, object] = {"mean": list(constants.mean), "std": list(constants.std)}
    return plain | ({"own": OWN_NOTE} if section.normalize == "own" else {})
