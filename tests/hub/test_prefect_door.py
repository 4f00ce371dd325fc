"""A party at the real Prefect server, with the program that its worker and sessions use."""

from __future__ import annotations

import asyncio
import datetime

import httpx
import pytest
from door_story import as_party, heartbeat, log_line
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import StateType
from prefect.exceptions import PrefectHTTPStatusError
from prefect.states import Running

pytestmark = pytest.mark.servers


@pytest.mark.parametrize("path", ["/flow_runs/filter", "/deployments/", "/events"])
def test_without_or_with_a_wrong_credential_nothing_is_answered(hub, auth, path):
    url = hub.prefect_url + path
    wrong = [None, ("party-77", "x"), ("coordinator", "x"), ("party-99", "x"), ("", "")]
    assert [httpx.post(url, json={}, auth=pair).status_code for pair in wrong] == [401] * 5


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/deployments/"),
        ("POST", "/deployments/filter"),
        ("POST", "/flow_runs/"),
        ("POST", "/automations/"),
        ("POST", "/block_documents/filter"),
        ("POST", "/variables/"),
        ("POST", "/admin/database/clear"),
        ("GET", "/admin/settings"),
        ("GET", "/work_pools/party-78"),
        ("GET", "/work_pools/coordinator"),
        ("POST", "/work_pools/coordinator/get_scheduled_flow_runs"),
        ("DELETE", "/work_pools/party-77"),
        ("GET", "//deployments/"),
        ("GET", "/work_pools/party-77/../party-78"),
        ("GET", "/work_pools/party-77%2F..%2Fparty-78"),
    ],
)
def test_a_party_is_told_what_it_may_not_do(party, method, path):
    answer = party.request(method, path, json={})
    assert answer.status_code in (403, 404), answer.text
    if answer.status_code == 403:
        assert "a party's credential reaches its own work pool and flow runs alone" in answer.text


def test_the_work_of_others_is_neither_seen_nor_changed(party, admin, ordered):
    theirs = ordered["party-78"]
    state = {"state": {"type": "CANCELLED"}, "force": True}
    refused = [
        party.get(f"/flow_runs/{theirs}"),
        party.post(f"/flow_runs/{theirs}/set_state", json=state),
        party.patch(f"/flow_runs/{theirs}", json={"name": "mine"}),
        party.get(f"/deployments/{ordered['party-78-deployment']}"),
        party.post("/logs/", json=[log_line(theirs)]),
        party.post("/events", json=[heartbeat(theirs).model_dump(mode="json")]),
        party.post("/artifacts/", json={"flow_run_id": theirs, "data": 1}),
    ]
    assert [one.status_code for one in refused] == [403] * len(refused)
    assert admin.get(f"/flow_runs/{theirs}").json()["state_type"] == "SCHEDULED"


def test_a_search_finds_the_own_flow_runs_alone(party, admin, ordered):
    everything = {"flow_runs": {"name": {"like_": ""}}, "work_pools": {"name": {"any_": [""]}}}
    seen = {run["id"] for run in admin.post("/flow_runs/filter", json={}).json()}
    assert seen >= {ordered["party-77"], ordered["party-78"]}
    for wish in ({}, everything, {"flow_runs": {"id": {"any_": [ordered["party-78"]]}}}):
        found = party.post("/flow_runs/filter", json=wish)
        assert {run["work_pool_name"] for run in found.json()} <= {"party-77"}
        assert ordered["party-78"] not in {run["id"] for run in found.json()}


def test_what_was_ordered_cannot_be_changed_by_who_does_it(party, ordered):
    own = f"/flow_runs/{ordered['party-77']}"
    assert party.patch(own, json={"parameters": {"a": 1}}).status_code == 403
    assert party.patch(own, json={"job_variables": {"command": "x"}}).status_code == 403


def test_prefects_own_client_does_a_workers_and_sessions_work(hub, auth, admin, ordered):
    async def work() -> None:
        async with get_client() as api:
            await api.send_worker_heartbeat("party-77", "w", 30)
            assert (await api.read_work_pool("party-77")).name == "party-77"
            now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=2)
            due = await api.get_scheduled_flow_runs_for_work_pool("party-77", scheduled_before=now)
            (run,) = [one.flow_run for one in due if str(one.flow_run.id) == ordered["party-77"]]
            await api.read_deployment(run.deployment_id)
            assert (await api.read_flow(run.flow_id)).name == "door-test"
            await api.update_flow_run(run.id, infrastructure_pid="w:1")
            await api.set_flow_run_state(run.id, Running(), force=True)
            await api.create_logs([log_line(str(run.id))])
            assert (await api.read_flow_run(run.id)).state_type == StateType.RUNNING
            wanted = FlowRunFilter(state={"type": {"any_": ["RUNNING"]}})
            assert run.id in [one.id for one in await api.read_flow_runs(flow_run_filter=wanted)]
            with pytest.raises(PrefectHTTPStatusError, match="403"):
                await api.create_flow_from_name("mine")

    with as_party(hub, auth):
        asyncio.run(work())
    lines = {"logs": {"flow_run_id": {"any_": [ordered["party-77"]]}}}
    assert [one["message"] for one in admin.post("/logs/filter", json=lines).json()] == ["a line"]


def test_the_page_asks_the_coordinator_for_its_credential(hub, admin):
    base = hub.settings.url("prefect")
    page = httpx.get(f"{base}/ui-settings").json()
    assert (page["auth"], page["api_url"]) == ("BASIC", hub.prefect_url)
    assert "<html" in httpx.get(base, follow_redirects=True, headers={"accept": "text/html"}).text
    assert admin.get("/admin/settings").status_code == 200
