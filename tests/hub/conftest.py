"""What the tests of Prefect's door share: the coordinator, a party, and a flow run for each."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import httpx
import pytest
from door_story import made

from flows.hub.pools import ensure_pools
from flows.hub.prefect_users import add_user, remove_user


@pytest.fixture(scope="module")
def admin(hub) -> Iterator[httpx.Client]:
    auth = httpx.BasicAuth(*hub.secrets.pair("prefect").auth_string.split(":", 1))
    with httpx.Client(base_url=hub.prefect_url, auth=auth, timeout=30) as line:
        yield line


@pytest.fixture(scope="module")
def auth(hub) -> Iterator[str]:
    """The credential of the party 77; its pool and that of 78 are there."""
    ensure_pools(hub.prefect_environ(), ["77", "78"])
    yield add_user(hub, "77")
    remove_user(hub, "77")


@pytest.fixture(scope="module")
def party(hub, auth) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=hub.prefect_url, auth=httpx.BasicAuth(*auth.split(":", 1)), timeout=30
    ) as line:
        yield line


@pytest.fixture(scope="module")
def ordered(admin, auth) -> Iterator[dict[str, str]]:
    """A flow run, not due yet, in each of the two pools."""
    flow = made(admin, "/flows/", {"name": "door-test"})
    runs = {}
    for pool in ("party-77", "party-78"):
        order = {"name": f"at-{pool}", "flow_id": flow, "work_pool_name": pool}
        deployment = made(admin, "/deployments/", order)
        later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": later.isoformat()}}
        runs[pool] = made(admin, f"/deployments/{deployment}/create_flow_run", {"state": state})
        runs[f"{pool}-deployment"] = deployment
    yield runs
    for pool in ("party-77", "party-78"):
        over = {"state": {"type": "CANCELLED"}, "force": True}
        admin.post(f"/flow_runs/{runs[pool]}/set_state", json=over)
