"""Whether Prefect can write a task run down from an event.

It takes events in batches, and drops a whole batch, with the task runs of everybody in it, when
one of them cannot be read. So what a party sends is read here first, by Prefect's own hand.
"""

from __future__ import annotations

from typing import Any

from prefect.server.events.schemas.events import ReceivedEvent
from prefect.server.services.task_run_recorder import db_recordable_task_run_from_event


def can_be_recorded(event: dict[str, Any]) -> bool:
    """Read the event as Prefect's recorder will; whether that works."""
    try:
        db_recordable_task_run_from_event(ReceivedEvent.model_validate(event))
    except (ValueError, TypeError, KeyError, AttributeError, AssertionError):
        return False
    return True
