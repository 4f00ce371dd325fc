"""A party's websockets at the real Prefect server: what it may say, and what it may hear."""

from __future__ import annotations

import asyncio
import datetime
import json
import time

import httpx
import pytest
from door_story import PATIENCE, as_party, heartbeat
from prefect.events import Event
from prefect.events.clients import PrefectEventsClient, get_events_subscriber
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from flows.hub.home import Hub
from flows.hub.prefect_users import add_user, remove_user

pytestmark = pytest.mark.servers


def test_events_go_out_and_foreign_ones_are_dropped(hub, auth, admin, ordered):
    own, theirs = heartbeat(ordered["party-77"]), heartbeat(ordered["party-78"])

    async def tell() -> None:
        async with PrefectEventsClient() as events:
            for event in (theirs, own):
                await events.emit(event)

    with as_party(hub, auth):
        asyncio.run(tell())
    assert _arrived(admin, own)
    assert not _seen(admin, theirs)


def test_a_party_hears_of_its_own_pool_alone(hub, auth, admin, party, ordered):
    async def listen() -> list[str]:
        heard = []
        since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
        wish = EventFilter(
            event=EventNameFilter(prefix=["prefect.flow-run."]),
            occurred=EventOccurredFilter(since=since),
        )
        async with get_events_subscriber(filter=wish) as events:
            async for event in events:
                heard.append(str(event.resource.id))
                if heard[-1] == f"prefect.flow-run.{ordered['party-77']}":
                    return heard
        return heard

    for pool in ("party-78", "party-77"):
        state = {"state": {"type": "RUNNING", "name": f"again-{pool}"}, "force": True}
        admin.post(f"/flow_runs/{ordered[pool]}/set_state", json=state)
    with as_party(hub, auth):
        heard = asyncio.run(asyncio.wait_for(listen(), PATIENCE))
    assert f"prefect.flow-run.{ordered['party-78']}" not in heard


@pytest.mark.parametrize("path", ["/logs/out", "/work_pools/party-78/workers/connect"])
def test_other_sockets_stay_closed(hub, auth, path):
    assert asyncio.run(_spoken(hub, path, auth)) is None


@pytest.mark.parametrize("token", [None, "", "party-77:x", "coordinator:x", "party-77"])
def test_a_socket_without_a_right_credential_stays_closed(hub, token):
    assert asyncio.run(_spoken(hub, "/events/in", token)) is None


def test_a_socket_with_the_right_one_opens(hub, auth):
    assert asyncio.run(_spoken(hub, "/events/in", auth)) == "auth_success"
    admin = hub.secrets.pair("prefect").auth_string
    assert asyncio.run(_spoken(hub, "/logs/out", admin)) == "auth_success"


def test_who_is_removed_is_out_at_once_also_of_an_open_socket(hub, admin, ordered):
    auth = add_user(hub, "78")
    own = httpx.BasicAuth(*auth.split(":", 1))

    async def told() -> None:
        url = hub.prefect_url.replace("http", "ws") + "/events/in"
        async with connect(url, subprotocols=["prefect"], proxy=None) as socket:
            await socket.send(json.dumps({"type": "auth", "token": auth}))
            await socket.recv()
            before = heartbeat(ordered["party-78"])
            await socket.send(before.model_dump_json())
            assert await asyncio.to_thread(_arrived, admin, before)
            remove_user(hub, "78")
            await socket.send(heartbeat(ordered["party-78"]).model_dump_json())
            await asyncio.wait_for(socket.wait_closed(), PATIENCE)

    assert httpx.get(f"{hub.prefect_url}/work_pools/party-78", auth=own).status_code == 200
    asyncio.run(told())
    gone = httpx.get(f"{hub.prefect_url}/work_pools/party-78", auth=own)
    assert gone.status_code == 401
    assert "not known (any more)" in gone.json()["detail"]


def _seen(admin: httpx.Client, event: Event) -> bool:
    wish = {"filter": {"id": {"id": [str(event.id)]}}}
    return bool(admin.post("/events/filter", json=wish).json()["events"])


def _arrived(admin: httpx.Client, event: Event) -> bool:
    limit = time.monotonic() + PATIENCE
    while not _seen(admin, event):
        if time.monotonic() > limit:
            return False
        time.sleep(0.2)
    return True


async def _spoken(hub: Hub, path: str, token: str | None) -> str | None:
    """What the server says to the first message; `None` if it closes instead."""
    url = hub.prefect_url.replace("http", "ws") + path
    async with connect(url, subprotocols=["prefect"], proxy=None) as socket:
        await socket.send(json.dumps({"type": "auth", "token": token}))
        try:
            return json.loads(await asyncio.wait_for(socket.recv(), PATIENCE))["type"]
        except ConnectionClosed:
            return None
