"""What a worker works with, and what it knows of a flow run in its hands."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect.client.schemas.objects import FlowRun, State, StateType

from flows.worker.attempts import IN_A_ROW, Attempts
from flows.worker.children import Child
from flows.worker.serving import Service


@dataclass(frozen=True)
class Post:
    """What a worker works with: its pool, its flows, how a process of it is started."""

    pool: str
    name: str
    url: str
    services: tuple[Service, ...]
    command: Sequence[str]
    environ: Mapping[str, str]
    folder: Path
    logs: Path
    limit: int = 1
    in_a_row: int = IN_A_ROW
    afterwards: Callable[[FlowRun, str], None] = lambda _, __: None


@dataclass
class Job:
    """A flow run in this worker's hands; `child` is `None` between two attempts."""

    flow_run: FlowRun
    attempts: Attempts
    child: Child | None = None
    due: float = 0.0
    stop_by: float | None = None
    verdict: State[Any] | None = None
    noted: bool = False


def owner_of(flow_run: FlowRun) -> str:
    """The worker that said it runs this, if any."""
    return (flow_run.infrastructure_pid or "").rpartition(":")[0]


def is_fresh(flow_run: FlowRun, now: datetime.datetime, within: float) -> bool:
    """Whether another worker may be about to begin with it."""
    state = flow_run.state
    if state is None or state.type != StateType.PENDING or owner_of(flow_run):
        return False
    return bool(now - state.timestamp < datetime.timedelta(seconds=within))
