"""The hub's work pools in Prefect, one for the coordinator and one for each party."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_URL,
    temporary_settings,
)
from prefect.workers.process import ProcessWorker

from fedcore.errors import FedcoreError, NotAllowed

COORDINATOR_POOL = "coordinator"
PATIENCE = 30.0  # seconds for an answer
ONE = 1


def party_pool(party_id: str) -> str:
    """The name of a party's work pool."""
    return f"party-{party_id}"


def ensure_pools(environ: Mapping[str, str], parties: Iterable[str]) -> None:
    """Make the coordinator's pool and one of each party, of type process; quiet if they are there.

    A party's pool takes one run at a time: its GPU is one. So does the coordinator's at first: two
    trainings at once could each hold a party that the other waits for. `environ` is the hub's.
    """
    with connected(environ) as api:
        _ensure_pool(api, COORDINATOR_POOL, "fedcore's coordinator, one training at a time")
        for party in parties:
            name = party_pool(party)
            _ensure_pool(api, name, "a hospital's own worker, one session at a time")
            api.update_work_pool(name, WorkPoolUpdate(is_paused=False, concurrency_limit=ONE))


def withdraw(environ: Mapping[str, str], party_id: str) -> None:
    """Pause a party's pool and take its deployments away; quiet where there is none."""
    tags = DeploymentFilterTags(all_=[f"party:{party_id}"])
    with connected(environ) as api:
        for one in api.read_deployments(deployment_filter=DeploymentFilter(tags=tags)):
            api.delete_deployment(one.id)
        with contextlib.suppress(ObjectNotFound):
            api.update_work_pool(party_pool(party_id), WorkPoolUpdate(is_paused=True))


def heartbeats(environ: Mapping[str, str], parties: Iterable[str]) -> dict[str, str]:
    """When each party's worker was last heard of, as text; parties without a worker are missing."""
    found: dict[str, str] = {}
    with connected(environ) as api:
        for party in parties:
            with contextlib.suppress(ObjectNotFound):
                pool = api.read_work_pool(party_pool(party))
                workers = api.read_workers_for_work_pool(pool.name)
                beats = [one.last_heartbeat_time for one in workers if one.last_heartbeat_time]
                if beats:
                    found[party] = max(beats).strftime("%Y-%m-%d %H:%M:%S UTC")
    return found


def chosen(environ: Mapping[str, str], names: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What people have set of deployments: parameters and schedules, as `prefect.yaml` has them.

    `names` maps Prefect's names to those of the answer; what is not registered is missing.
    """
    found: dict[str, dict[str, Any]] = {}
    with connected(environ) as api:
        for name, short in names.items():
            with contextlib.suppress(ObjectNotFound):
                one = api.read_deployment_by_name(name)
                schedules = [_schedule(held) for held in one.schedules]
                found[short] = {
                    "parameters": one.parameters,
                    **({"schedules": schedules} if schedules else {}),
                }
    return found


def _schedule(held: DeploymentSchedule) -> dict[str, Any]:
    timing = held.schedule.model_dump(mode="json", exclude_none=True)
    named = {"slug": held.slug} if held.slug else {}
    parameters = {"parameters": held.parameters} if held.parameters else {}
    return {**timing, **named, **parameters, "active": held.active}


def _ensure_pool(api: SyncPrefectClient, name: str, description: str) -> None:
    try:
        api.read_work_pool(name)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        wanted = WorkPoolCreate(
            name=name,
            type=ProcessWorker.type,
            base_job_template=template,
            concurrency_limit=ONE,
            description=description,
        )
        with contextlib.suppress(ObjectAlreadyExists):
            api.create_work_pool(wanted)


@contextlib.contextmanager
def connected(environ: Mapping[str, str]) -> Iterator[SyncPrefectClient]:
    """Prefect's API with the hub's own settings; a sentence when it is away or refuses."""
    url = environ["PREFECT_API_URL"]
    known = (PREFECT_API_URL, PREFECT_API_AUTH_STRING, PREFECT_API_SSL_CERT_FILE)
    settings = {one: environ.get(one.name) for one in known}
    try:
        with (
            temporary_settings(updates=settings),
            get_client(httpx_settings={"timeout": PATIENCE}, sync_client=True) as api,
        ):
            yield api
    except httpx.HTTPStatusError as said:
        status = said.response.status_code
        if status in (401, 403):
            remedy = "look at the hub's secrets, or run fedcore up again"
            raise NotAllowed(f"Prefect at {url} refuses these credentials: {remedy}") from None
        raise FedcoreError(f"Prefect at {url} answers {status}: look at its log") from None
    except httpx.HTTPError as away:
        kind = type(away).__name__
        remedy = "run fedcore status, then fedcore up"
        raise FedcoreError(f"Prefect at {url} does not answer ({kind}): {remedy}") from None
