"""A training that did not end well leaves sessions waiting at the hospitals: they are ended."""

from __future__ import annotations

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Cancelling

from flows.worker.line import Away
from tasks.coordinator.session_keeper import OVER, PATIENCE

GOING = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED]


def end_sessions(training: FlowRun, ended: str) -> None:
    """Cancel the sessions of a training that failed, crashed or was cancelled; `Away` if it can't.

    One that completed has told its sessions so through the exchange.
    """
    if ended == "Completed":
        return
    settings = {"timeout": PATIENCE}
    try:
        with (
            temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
            get_client(sync_client=True, httpx_settings=settings) as api,
        ):
            run = api.read_flow_run(training.id).parameters.get("run")
            wanted = FlowRunFilter(
                tags=FlowRunFilterTags(all_=[f"run:{run}"]),
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=GOING)),
            )
            for session in api.read_flow_runs(flow_run_filter=wanted) if run else ():
                over: State[object] = Cancelling(message=OVER)
                api.set_flow_run_state(session.id, over)
    except (httpx.HTTPError, PrefectException, OSError, ValueError) as broken:
        raise Away(f"sessions cannot be ended ({type(broken).__name__})") from None
