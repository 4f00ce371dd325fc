"""What of the items for Prefect need not be sent: a state that was over before Prefect heard of it.

Each step is Pending for some milliseconds before it is Running, and Prefect does as much for an
event as for a question. Its page shows the step all the same, as it is now and since when.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Item = dict[str, Any]
PENDING, RUNNING = "prefect.task-run.Pending", "prefect.task-run.Running"


def brief(items: Sequence[Item]) -> list[Item]:
    """The items in their order, without a Pending that a Running among them follows."""
    begun = {_follows(item) for item in items if _event(item) == RUNNING}
    over = {item["body"]["id"] for item in items if _event(item) == PENDING} & begun
    return [_first(item, over) for item in items if item["body"].get("id") not in over]


def _first(item: Item, over: set[Any]) -> Item:
    """The item; nothing is told of an earlier event that is not sent, or it would be waited for."""
    if _follows(item) not in over:
        return item
    return {**item, "body": {**item["body"], "follows": None}}


def _event(item: Item) -> Any:
    return item["body"].get("event")


def _follows(item: Item) -> Any:
    return item["body"].get("follows")
