"""What the door believes of what Prefect told it, and for how long."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from flows.hub.prefect_door import LASTS, Inside, Party

POOL = "00000000-0000-0000-0000-000000000001"


class Prefect:
    """Answers what the test says, and counts."""

    def __init__(self) -> None:
        self.now, self.asked = 0.0, list[str]()
        self.known = {"/api/work_pools/party-1": {"id": POOL}}
        self.inside = Inside(
            httpx.AsyncClient(transport=httpx.MockTransport(self.answer), base_url="http://hub"),
            lambda: self.now,
        )
        self.party = Party("party-1", self.inside)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        found = self.known.get(request.url.path)
        return httpx.Response(200, json=found) if found else httpx.Response(404)

    def owns(self, kind: str, value: str) -> bool:
        return asyncio.run(self.party.owns(kind, value))


@pytest.fixture
def prefect() -> Prefect:
    return Prefect()


def test_whose_a_pool_is_is_asked_once_in_a_while(prefect: Prefect) -> None:
    assert prefect.owns("pool", POOL)
    assert prefect.owns("pool", POOL)
    assert not prefect.owns("pool", "another")
    assert len(prefect.asked) == 1
    prefect.now = LASTS
    prefect.known.clear()
    assert not prefect.owns("pool", POOL)


def test_what_prefect_does_not_have_is_asked_again(prefect: Prefect) -> None:
    assert not prefect.owns("deployment", "new")
    prefect.known["/api/deployments/new"] = {"work_pool_name": "party-1"}
    assert prefect.owns("deployment", "new")


def test_a_deployment_that_went_to_another_pool_is_believed_for_no_longer(prefect: Prefect) -> None:
    place = "/api/deployments/d"
    prefect.known[place] = {"work_pool_name": "party-1"}
    assert prefect.owns("deployment", "d")
    prefect.known[place] = {"work_pool_name": "party-2"}
    prefect.now = LASTS
    assert not prefect.owns("deployment", "d")


def test_a_flow_run_stays_in_its_pool_for_good(prefect: Prefect) -> None:
    prefect.known["/api/flow_runs/r"] = {"work_pool_name": "party-1"}
    assert prefect.owns("run", "r")
    prefect.now = 10 * LASTS
    assert prefect.owns("run", "r")
    assert len(prefect.asked) == 1
