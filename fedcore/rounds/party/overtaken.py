"""A party that is slower than its round: what it needs may have been removed by now."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from fedcore.errors import Removed
from fedcore.rounds.party.desk import Desk

T = TypeVar("T")


def unless_over(desk: Desk, act: Callable[[], T]) -> T | None:
    """What `act` gives; `None`, and why is said, where it reads what only an earlier round read."""
    try:
        return act()
    except Removed as gone:
        desk.watch.say(f"{gone}: this party is too late for that round and goes on with the next")
        return None
