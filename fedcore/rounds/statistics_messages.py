"""What is said of the data before a training: by each party, and by the coordinator of all."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from fedcore.config.base import Section
from fedcore.rounds.messages import MOST, Reason

Withheld = Literal["policy", "few_patients"]


class Statistics(Section):
    """A party's columns (`fedcore.statistics.ColumnSummary` as JSON), or why it tells none."""

    run: str
    party: str
    task_hash: str
    contract_hash: str
    patients: int = Field(ge=0, le=MOST)
    images: int = Field(ge=0, le=MOST)
    columns: tuple[dict[str, Any], ...] | None = Field(max_length=4096)
    withheld: Withheld | None = None


class PooledStatistics(Section):
    """Every party's columns and those of all together; who told nothing, and why."""

    run: str
    parties: dict[str, tuple[dict[str, Any], ...]]
    absent: dict[str, Reason]
    total: tuple[dict[str, Any], ...]
