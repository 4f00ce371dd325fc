"""How Prefect's server hands an event to its parts: as it does by itself, but for two of them.

Each change of a step's state is an event. The recorder makes a task run of it, and automations see
it. To store it among the events as well costs more than all of that, and would say once more what
the task run's states say. Nor does it go to who listens to the stream of events: each flow process
does, to hear of its own flow run, and each event would be looked at once for each of them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from prefect.server.utilities.messaging import Message, MessageHandler, memory
from prefect.server.utilities.messaging.memory import Publisher, break_topic

__all__ = ["Consumer", "Publisher", "break_topic", "ephemeral_subscription"]
KEEPER_OF_EVENTS = "event-persister"
LISTENERS = "listeners"
STEPS = "prefect.task-run."


class Consumer(memory.Consumer):
    """Prefect's own for a server of one process; two parts are not told of task runs."""

    def __init__(self, topic: str, group: str = "", **others: Any) -> None:
        """`group` names the part of the server that is to be told."""
        super().__init__(topic, **others)
        self._deaf = group in {KEEPER_OF_EVENTS, LISTENERS}

    async def run(self, handler: MessageHandler) -> None:
        """Hand on what is published, until cancelled."""
        await super().run(_but_steps(handler) if self._deaf else handler)


@asynccontextmanager
async def ephemeral_subscription(topic: str) -> AsyncGenerator[Mapping[str, Any], None]:
    """What a `Consumer` for those who listen is made with."""
    async with memory.ephemeral_subscription(topic) as found:
        yield {**found, "group": LISTENERS}


def _but_steps(handler: MessageHandler) -> MessageHandler:
    async def handle(message: Message) -> None:
        if not str((message.attributes or {}).get("event")).startswith(STEPS):
            await handler(message)

    return handle
