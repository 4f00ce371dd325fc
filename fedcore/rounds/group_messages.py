"""The word of a group of a tree: what its parties' updates add up to."""

from __future__ import annotations

from pydantic import Field

from fedcore.config.base import Section
from fedcore.rounds.messages import ObjectRef, Reason


class GroupSum(Section):
    """What one group's updates add up to, who is in it with which weight, and who is not and why.

    `bodies` hold the float64 sums, name after name; there are none where nobody was admitted.
    `updates` holds the SHA-256 of each admitted update, `notes` what the strategy adds up beside.
    """

    run: str
    round: int = Field(ge=1)
    group: int = Field(ge=1)
    bodies: tuple[ObjectRef, ...]
    notes: dict[str, float | str]
    weights: dict[str, float]
    updates: dict[str, str]
    absent: dict[str, Reason]
