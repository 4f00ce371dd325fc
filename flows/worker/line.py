"""The worker's line to Prefect: the few questions it asks, each short, each failing as `Away`."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound, PrefectException

from fedcore.errors import FedcoreError
from tasks.quick_line import QuickLine

PATIENCE = 15.0
BEGUN = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]


class Away(FedcoreError):
    """Prefect did not answer, or not as it should; trying again later is sensible."""


class Line:
    """Asks Prefect about the flow runs of one pool."""

    def __init__(self, pool: str, worker: str, url: str) -> None:
        """Nothing is reached yet."""
        self._pool, self._worker, self._url = pool, worker, url
        self._names: dict[UUID, str] = {}
        self._quick = QuickLine(PATIENCE)

    def heartbeat(self, interval: float) -> None:
        """Let the pool's page show that this worker lives."""
        with self._reaching() as api:
            api.send_worker_heartbeat(self._pool, self._worker, interval)

    def due(self, now: datetime.datetime) -> list[FlowRun]:
        """The pool's flow runs that should have begun by now."""
        with self._reaching() as api:
            found = api.get_scheduled_flow_runs_for_work_pool(self._pool, scheduled_before=now)
        return [one.flow_run for one in found]

    def begun(self) -> list[FlowRun]:
        """The pool's flow runs that somebody works, or should work, on."""
        states = FlowRunFilterState(type=FlowRunFilterStateType(any_=BEGUN))
        with self._reaching() as api:
            return api.read_flow_runs(
                flow_run_filter=FlowRunFilter(state=states),
                work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[self._pool])),
            )

    def these(self, ids: Iterable[UUID]) -> list[FlowRun]:
        """The flow runs of those ids, less what was deleted."""
        wanted = FlowRunFilterId(any_=list(ids))
        with self._reaching() as api:
            return api.read_flow_runs(flow_run_filter=FlowRunFilter(id=wanted))

    def flow_name(self, flow_run: FlowRun) -> str:
        """The name of the run's flow."""
        if flow_run.flow_id not in self._names:
            with self._reaching() as api:
                self._names[flow_run.flow_id] = api.read_flow(flow_run.flow_id).name
        return self._names[flow_run.flow_id]

    def state(self, flow_run: FlowRun, state: State, *, force: bool = True) -> bool:
        """Set the run's state; whether Prefect accepted it. A deleted run needs none."""
        with self._reaching() as api:
            try:
                answer = api.set_flow_run_state(flow_run.id, state, force=force)
            except ObjectNotFound:
                return False
        return answer.status == SetStateStatus.ACCEPT

    def note_owner(self, flow_run: FlowRun, pid: int) -> None:
        """Write down which worker runs it, so that another leaves it alone."""
        with self._reaching() as api:
            api.update_flow_run(flow_run.id, infrastructure_pid=f"{self._worker}:{pid}")

    def alive(self, now: datetime.datetime, within: float) -> set[str]:
        """The other workers of the pool that were heard of lately."""
        with self._reaching() as api:
            known = api.read_workers_for_work_pool(self._pool)
        limit = now - datetime.timedelta(seconds=within)
        heard = {
            one.name for one in known if one.last_heartbeat_time and one.last_heartbeat_time > limit
        }
        return heard - {self._worker}

    @contextmanager
    def _reaching(self) -> Iterator[SyncPrefectClient]:
        """One short try: the worker has other things to look after."""
        try:
            with self._quick.open() as api:
                yield api
        except httpx.HTTPStatusError as refused:
            raise Away(self._refusal(refused.response.status_code)) from None
        except ObjectNotFound:
            remedy = "ask the coordinator to run fedcore party invite and prefect deploy"
            raise Away(f"Prefect at {self._url} has no pool {self._pool}: {remedy}") from None
        except (httpx.HTTPError, PrefectException, OSError, ValueError) as broken:
            said = str(broken).splitlines()[0] if str(broken) else type(broken).__name__
            raise Away(f"Prefect at {self._url} cannot be reached ({said[:120]})") from None

    def _refusal(self, code: int) -> str:
        where = f"Prefect at {self._url}"
        if code in {401, 403}:
            remedy = (
                "ask the coordinator to run fedcore party rotate (invite, if it was revoked), join "
                "with the new kit and start again"
            )
            return f"{where} refuses this worker's credentials (status {code}): {remedy}"
        if code == 503:
            return f"{where} is too busy to answer (status 503)"
        return f"{where} answers with status {code}: ask the coordinator"
