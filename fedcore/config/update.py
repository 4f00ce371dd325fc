"""The task file's section `update`: how a party's update is written for its way."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from fedcore.config.base import Section

Codec = Literal["float32", "bfloat16", "int8", "topk"]
CODECS: tuple[Codec, ...] = get_args(Codec)


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
