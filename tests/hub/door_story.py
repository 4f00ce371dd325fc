"""A party at the real Prefect server: its credential, its flow run, and one of somebody else."""

from __future__ import annotations

import contextlib
import datetime
import time
import uuid
from collections.abc import Iterator

import httpx
from prefect.events import Event
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from flows.hub.home import Hub

PATIENCE = 40.0


@contextlib.contextmanager
def as_party(hub: Hub, auth: str) -> Iterator[None]:
    with temporary_settings({PREFECT_API_URL: hub.prefect_url, PREFECT_API_AUTH_STRING: auth}):
        yield


def made(admin: httpx.Client, path: str, what: dict) -> str:
    """The id of what was made; SQLite may be locked for a moment, as Prefect's client knows."""
    limit = time.monotonic() + PATIENCE
    while not (answer := admin.post(path, json=what)).is_success:
        assert time.monotonic() < limit, answer.text
        time.sleep(0.1)
    return str(answer.json()["id"])


def log_line(run: str) -> dict:
    now = datetime.datetime.now(datetime.UTC).isoformat()
    return {
        "name": "test",
        "level": 20,
        "message": "a line",
        "timestamp": now,
        "flow_run_id": run,
    }


def heartbeat(run: str) -> Event:
    resource = {"prefect.resource.id": f"prefect.flow-run.{run}"}
    return Event(event="prefect.flow-run.heartbeat", resource=resource, id=uuid.uuid4())
