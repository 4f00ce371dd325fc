"""The task file's section `model`: which network is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from fedcore.config.base import Section

TABLE_MODELS = ("logistic", "mlp", "cox")
Width = Annotated[int, Field(ge=1, le=65_536)]


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
    activation: Literal["relu", "tanh", "sigmoid"] = Field(
        "relu", description="mlp, cox: what follows each hidden layer"
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="mlp, cox: share of hidden values dropped in training"
    )
    init: Literal["default", "zeros"] = Field(
        "default", description="tables: torch's random weights, or an output layer of zeros"
    )
    logits: Literal["one", "classes"] = Field(
        "one",
        description="tables with two classes: one logit and binary cross-entropy, or one logit a "
        "class",
    )

    @field_validator("input_size")
    @classmethod
    def _sensible_size(cls, size: tuple[int, int, int]) -> tuple[int, int, int]:
        if size[0] not in (1, 3):
            raise ValueError("the first number is the channels: 1 or 3")
        if not all(8 <= side <= 2048 for side in size[1:]):
            raise ValueError("height and width must lie between 8 and 2048 pixels")
        return size
