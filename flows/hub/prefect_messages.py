"""How Prefect's server hands an event to its parts: as it does by itself, but for one part.

Each change of a step's state is an event. The recorder makes a task run of it, automations see it,
and whoever listens hears it. To store it among the events as well costs more than all of that, and
would say once more what the task run's states say.
"""

from __future__ import annotations

from typing import Any

from prefect.server.utilities.messaging import Message, MessageHandler, memory
from prefect.server.utilities.messaging.memory import (
    Publisher,
    break_topic,
    ephemeral_subscription,
)

__all__ = ["Consumer", "Publisher", "break_topic", "ephemeral_subscription"]
KEEPER_OF_EVENTS = "event-persister"
STEPS = "prefect.task-run."


class Consumer(memory.Consumer):
    """Prefect's own for a server of one process; what stores events is not told of task runs."""

    def __init__(self, topic: str, group: str = "", **others: Any) -> None:
        """`group` names the part of the server that is to be told."""
        super().__init__(topic, **others)
        self._stores = group == KEEPER_OF_EVENTS

    async def run(self, handler: MessageHandler) -> None:
        """Hand on what is published, until cancelled."""
        await super().run(_but_steps(handler) if self._stores else handler)


def _but_steps(handler: MessageHandler) -> MessageHandler:
    async def handle(message: Message) -> None:
        if not str((message.attributes or {}).get("event")).startswith(STEPS):
            await handler(message)

    return handle
