"""The task file's section `retention`: what stays in the exchange of rounds that are done."""

from __future__ import annotations

from pydantic import Field

from fedcore.config.base import Section


class RetentionSection(Section):
    """What of a finished round stays although nobody needs it any more."""

    keep_rounds: int | None = Field(
        0,
        ge=0,
        description="so many of the newest finished rounds keep what nobody needs any more: "
        "updates, models, the strategy's memory; null: all rounds do",
    )
