"""The task file's section `update`: how updates and models are written for their way."""

from __future__ import annotations

from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from fedcore.config.base import Section, misfit

Codec = Literal["float32", "bfloat16", "int8", "topk"]
CODECS: tuple[Codec, ...] = get_args(Codec)
# Why a model cannot come as a step by these codecs.
NO_STEP = {
    "float32": "a step by float32 is as large as the model: write codec bfloat16 or int8, or leave "
    "update.model at full",
    "topk": "what topk leaves out of a step nobody would add later: write codec bfloat16 or int8, "
    "or leave update.model at full",
}


class UpdateSection(Section):
    """How an update is written: exact, or in fewer bytes."""

    codec: Codec = Field(
        "float32",
        description="exact (float32), half the bytes (bfloat16), a quarter (int8), or the largest "
        "numbers alone (topk)",
    )
    share: float = Field(
        0.01, gt=0, le=1, description="topk: the share of an update's numbers that is sent"
    )
    model: Literal["full", "step"] = Field(
        "full",
        description="how the global model comes down: whole, or as a step from the one before, "
        "written by the codec, to parties that hold that one",
    )

    @model_validator(mode="after")
    def _a_step_is_small_and_unbiased(self) -> Self:
        if self.model == "step" and self.codec in NO_STEP:
            raise misfit("model", self.model, NO_STEP[self.codec])
        return self
