"""What Prefect's server tells its parts of an event: all of them all, but one."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from prefect.server.utilities.messaging.memory import Cache

from flows.hub import prefect_messages

EVENTS = ("prefect.task-run.Running", "prefect.flow-run.Running", "prefect.artifact.created")


async def heard(group: str | None) -> list[str]:
    """The events that a part of the server of that name is told of; `None` for who listens."""
    topic = f"events-{uuid4()}"
    if group is not None:
        return await told(topic, {"topic": topic, "group": group, "name": "one"})
    async with prefect_messages.ephemeral_subscription(topic) as settings:
        return await told(topic, settings)


async def told(topic: str, settings) -> list[str]:
    found = asyncio.Queue[str]()

    async def handle(message) -> None:
        await found.put(message.attributes["event"])

    consumer = prefect_messages.Consumer(**settings)
    running = asyncio.create_task(consumer.run(handle))
    cache = Cache()
    async with prefect_messages.Publisher(topic, cache, deduplicate_by="id") as publisher:
        for name in (*EVENTS, "the last"):
            await publisher.publish_data(b"{}", {"id": str(uuid4()), "event": name})
    names = [await found.get()]
    while names[-1] != "the last":
        names.append(await found.get())
    running.cancel()
    await asyncio.wait([running])
    return names[:-1]


@pytest.mark.parametrize("group", ["task-run-recorder", "reactive-triggers", ""])
def test_a_part_is_told_of_steps(group: str) -> None:
    assert asyncio.run(heard(group)) == list(EVENTS)


@pytest.mark.parametrize("group", ["event-persister", None])
def test_who_stores_events_and_who_listens_is_told_of_all_but_steps(group: str | None) -> None:
    assert asyncio.run(heard(group)) == list(EVENTS[1:])
