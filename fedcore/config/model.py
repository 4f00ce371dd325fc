"""The task file's section `model`: which network is trained."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from fedcore.config.base import Section

TABLE_MODELS = ("logistic", "mlp", "cox")
Width = Annotated[int, Field(ge=1, le=65_536)]
Init = Literal[
    "default", "zeros", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal"
]
MODALITY = re.compile(r"[a-z][a-z0-9_]{0,15}")


def _sensible_size(size: tuple[int, int, int] | None) -> tuple[int, int, int] | None:
    if size is None:
        return None
    if size[0] not in (1, 3):
        raise ValueError("the first number is the channels: 1 or 3")
    if not all(8 <= side <= 2048 for side in size[1:]):
        raise ValueError("height and width must lie between 8 and 2048 pixels")
    return size


class Modality(Section):
    """One kind of image in a cross-modal training; its encoder is shared by its parties alone."""

    input_size: tuple[int, int, int] | None = Field(
        None, description="channels, height and width in pixels; by default the model's"
    )

    _sensible = field_validator("input_size")(_sensible_size)


class ModelSection(Section):
    """Which network is trained."""

    name: str = Field(
        "resnet18",
        description="a classifier of torchvision's catalogue, or cnn; for tables logistic, mlp, "
        "cox",
    )
    input_size: tuple[int, int, int] = Field(
        (3, 224, 224), description="channels (1 or 3), height and width in pixels"
    )
    num_classes: int = Field(2, ge=2, le=1000, description="number of classes, 2 to 1000")
    weights: str | None = Field(
        None,
        description="start from weights: a .safetensors file, exchange:KEY or models:/name@alias",
    )
    hidden: tuple[Width, ...] = Field(
        (), description="mlp, cox: widths of the hidden layers; none gives a linear model"
    )
    norm: Literal["none", "batch", "layer"] = Field(
        "none",
        description="mlp, cox: BatchNorm or LayerNorm between each hidden layer and its activation",
    )
    activation: Literal["relu", "leaky_relu", "elu", "tanh", "sigmoid"] = Field(
        "relu", description="mlp, cox: what follows each hidden layer"
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="mlp, cox: share of hidden values dropped in training"
    )
    init: Init = Field(
        "default",
        description="tables: torch's random weights; an output layer of zeros; or weights by "
        "Glorot (xavier) or He (kaiming) and biases of zero",
    )
    logits: Literal["one", "classes"] = Field(
        "one",
        description="tables with two classes: one logit and binary cross-entropy, or one logit a "
        "class",
    )
    modalities: dict[str, Modality] | None = Field(
        None,
        description="cross-modal: kinds of image by name, each with an encoder of its own before "
        "the shared trunk and head; each party's file says which one it has",
    )

    _sensible = field_validator("input_size")(_sensible_size)

    @field_validator("modalities")
    @classmethod
    def _plain_names(cls, named: dict[str, Modality] | None) -> dict[str, Modality] | None:
        if named is not None and not named:
            raise ValueError("name at least one, or leave the field out")
        for name in named or ():
            if not MODALITY.fullmatch(name):
                raise ValueError("name each in up to 16 lower-case letters, digits and _")
        return named

    def knows(self, modality: str | None) -> bool:
        """Whether a party of that modality can take part; without modalities it has none."""
        return modality in self.modalities if self.modalities else modality is None

    def size_of(self, modality: str | None) -> tuple[int, int, int]:
        """The input size of a modality; the model's own where there are none."""
        own = self.modalities[modality].input_size if self.modalities and modality else None
        return own or self.input_size
