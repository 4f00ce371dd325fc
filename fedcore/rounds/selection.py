"""Which round was best, and whether to go on: pure functions of the records so far."""

from __future__ import annotations

from collections.abc import Sequence

from fedcore.config.federation import EarlyStopping, FederationSection
from fedcore.rounds.messages import Record

UNKNOWN = float("-inf")


def merit(record: Record, metric: str) -> float:
    """The record's value of `metric`, turned so that more is better; -inf when withheld."""
    value = getattr(record, metric)
    if value is None:
        return UNKNOWN
    return -float(value) if metric.endswith("loss") else float(value)


def best_round(records: Sequence[Record], metric: str) -> Record:
    """The record with the most merit, the earliest of equals; raises `ValueError` when empty.

    Where no round has a value (all withheld), nothing speaks for an early one: the last is taken.
    """
    if all(merit(record, metric) == UNKNOWN for record in records):
        return records[-1]
    return max(records, key=lambda record: (merit(record, metric), -record.round))


def should_stop(records: Sequence[Record], metric: str, rule: EarlyStopping | None) -> bool:
    """Whether the last `patience` rounds brought no improvement above `min_delta`.

    Never where no round has a value at all.
    """
    if rule is None or len(records) <= rule.patience:
        return False
    if all(merit(record, metric) == UNKNOWN for record in records):
        return False
    before = max(merit(record, metric) for record in records[: -rule.patience])
    lately = max(merit(record, metric) for record in records[-rule.patience :])
    return not lately > before + rule.min_delta


def blindness(record: Record, federation: FederationSection) -> str | None:
    """What it means that a round has no validation score to go by; `None` where it has one."""
    if merit(record, federation.select_by) != UNKNOWN:
        return None
    early = federation.early_stopping is not None
    stops = " and early_stopping cannot stop the training" if early else ""
    return (
        f"round {record.round} has no {federation.select_by} on validation data (no party has any, "
        "or all withhold it, or it is undefined there): without one, the last round's model "
        f"counts as the best{stops}"
    )
