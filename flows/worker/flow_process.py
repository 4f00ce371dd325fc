"""One flow run in a process of its own: read from Prefect, checked, and run as fedcore's own flow.

The process ends with its worker: standard input is the pipe to it. A line `stop` asks the flow to
end its waits. Steps that finish are told on standard output, so that the worker sees progress.
"""

from __future__ import annotations

import datetime
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import SyncClientContext
from prefect.events import Event
from prefect.events.related import RESOURCE_CACHE
from prefect.events.worker import EventsWorker, ProcessPoolForwardingEventsClient
from prefect.flow_engine import run_flow
from prefect.logging.handlers import set_api_log_sink
from prefect.settings import PREFECT_API_SSL_CERT_FILE, PREFECT_API_URL, PREFECT_HOME
from prefect.states import Failed

from fedcore.errors import InputError
from flows.process_group import end_own_group
from flows.settled import settle
from flows.worker.children import STOP
from flows.worker.outbox import Outbox
from flows.worker.outbox_file import Item
from flows.worker.patience import patient_settings
from flows.worker.serving import Service, choose

PARENT_GONE = 75
STEPS = "prefect.task_runs"  # the logger of Prefect's engine
SUCCESS = "Finished in state Completed()"


def run(
    flow_run_id: str,
    services: tuple[Service, ...],
    stopped: threading.Event,
    scrub: Callable[[Item], Item | None] = lambda item: item,
) -> int:
    """Run that flow run to a verdict, which Prefect has when this returns 0.

    `stopped` is set when the flow is to end its waits; `scrub` sees all that goes to Prefect as
    event or log line.
    """
    tell = _events()
    logging.getLogger(STEPS).addFilter(_says_more)
    threading.Thread(target=_obey, args=(sys.stdin, stopped), daemon=True).start()
    with _patient_line() as api:
        flow_run = api.read_flow_run(UUID(flow_run_id))
        if flow_run.state is not None and flow_run.state.is_final():
            return 0
        _know_surroundings(api, flow_run)
        with _telling(flow_run, scrub, partial(_tell_progress, tell)):
            return _run(api, flow_run, services)


def _run(api: SyncPrefectClient, flow_run: FlowRun, services: tuple[Service, ...]) -> int:
    """Check and run; what is not served or not fit becomes Failed with the reason."""
    try:
        service = choose(services, api.read_flow(flow_run.flow_id).name)
        parameters = service.accept(flow_run.parameters)
    except InputError as refused:
        refusal: State[Any] = Failed(name="Refused", message=str(refused))
        api.set_flow_run_state(flow_run.id, refusal, force=True)
        return 0
    flow: Flow[..., Any] = service.load()
    settle()
    run_flow(flow, flow_run=flow_run, parameters=parameters, return_type="state")
    return 0


def _know_surroundings(api: SyncPrefectClient, flow_run: FlowRun) -> None:
    """Read now what every event names: Prefect drops an event while it cannot ask for these."""
    found: dict[str, Any] = {f"flow.{flow_run.flow_id}": api.read_flow(flow_run.flow_id)}
    if flow_run.deployment_id is not None:
        deployment = api.read_deployment(flow_run.deployment_id)
        found[f"deployment.{flow_run.deployment_id}"] = deployment
    if flow_run.work_pool_name is not None:
        pool = api.read_work_pool(flow_run.work_pool_name)
        found[f"work-pool.{flow_run.work_pool_name}"] = pool
    # A queue says nothing here, and a hospital's credentials do not reach it.
    found[f"work-queue.{flow_run.work_queue_id}"] = None
    known_at: Any = datetime.datetime.now(datetime.UTC)
    for name, thing in found.items():
        entry: Any = {"kind": name.partition(".")[0], "object": thing}
        RESOURCE_CACHE[name] = (entry, known_at)


@contextmanager
def _patient_line() -> Iterator[SyncPrefectClient]:
    """The client that Prefect's engine and tasks of this process use, too."""
    with SyncClientContext(httpx_settings=_settings(_say)) as context:
        yield context.client


@contextmanager
def _telling(
    flow_run: FlowRun, scrub: Callable[[Item], Item | None], heard: Callable[[Event], None]
) -> Iterator[None]:
    """Let events and log lines of this process go through an outbox that loses none."""
    path = Path(PREFECT_HOME.value()) / "outbox" / f"{flow_run.id}.jsonl"
    outbox = Outbox(path, _line_of_its_own, scrub, heard)
    EventsWorker.set_client_override(ProcessPoolForwardingEventsClient, event_queue=outbox)
    set_api_log_sink(outbox.log)
    try:
        yield
    finally:
        EventsWorker.drain_all()
        outbox.close()


def _line_of_its_own(hear: Callable[[str], None]) -> SyncPrefectClient:
    return get_client(sync_client=True, httpx_settings=_settings(hear))


def _settings(hear: Callable[[str], None]) -> dict[str, Any]:
    url, ca = PREFECT_API_URL.value(), PREFECT_API_SSL_CERT_FILE.value()
    return patient_settings(str(url), ca, threading.Event(), hear)


def _obey(worker: IO[str], stopped: threading.Event) -> None:
    """Hear the worker; when it is gone, the process ends at once."""
    for text in worker:
        if text.strip() == STOP:
            stopped.set()
    end_own_group(PARENT_GONE)


def _tell_progress(tell: IO[str], event: Event) -> None:
    if event.event == "prefect.task-run.Completed":
        tell.write(json.dumps({"done": event.resource.name}) + "\n")
        tell.flush()


def _says_more(record: logging.LogRecord) -> bool:
    """Whether a line says more than the state of its step does."""
    return record.getMessage() != SUCCESS


def _events() -> IO[str]:
    """Standard output as the worker's pipe alone; what a library prints goes to the log."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return events


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
