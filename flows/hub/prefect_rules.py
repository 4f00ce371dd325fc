"""What a party's credential may do at Prefect: this table and nothing else.

`{pool}` is the party's own work pool, `{run}` a flow run and `{deployment}` a deployment of it;
`{id}` may be any. A check looks into the body, and may narrow it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from flows.hub.prefect_recording import can_be_recorded

UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
KINDS = {"pool": r"[^/]+", "run": UUID, "deployment": UUID, "id": UUID}
RUN_FIELDS = {"infrastructure_pid", "name", "flow_version", "empirical_policy", "labels"}
EVENTS = ("prefect.task-run.", "prefect.flow-run.heartbeat", "prefect.worker.", "prefect.runner.")
OWNED = {"prefect.flow-run": "run", "prefect.deployment": "deployment", "prefect.work-pool": "pool"}


class Forbidden(Exception):
    """The request is not one that a party may make."""


class Asker(Protocol):
    """A party at the door: its pool, and what belongs to it."""

    @property
    def pool(self) -> str:
        """The name of its work pool."""
        ...

    async def owns(self, kind: str, value: str) -> bool:
        """Whether a `run`, `deployment` or `pool` (by id) is its own."""
        ...


Check = Callable[[Asker, Any], Awaitable[Any]]


async def narrowed(asker: Asker, body: Any) -> Any:
    """A search, held to flow runs of the party's own pool."""
    return {**_object(body), "work_pools": {"name": {"any_": [asker.pool]}}}


async def harmless_fields(_: Asker, body: Any) -> Any:
    """A change of a flow run that leaves what was ordered as it is."""
    if not _object(body).keys() <= RUN_FIELDS:
        raise Forbidden
    return body


async def own_lines(asker: Asker, body: Any) -> Any:
    """Log lines of own flow runs."""
    for line in _list(body):
        run = _object(line).get("flow_run_id")
        if run is None and line.get("task_run_id") is None:
            continue
        await _require(asker, "run", run)
    return body


async def own_artifact(asker: Asker, body: Any) -> Any:
    """An artifact of an own flow run, under a name that is nobody else's."""
    await _require(asker, "run", _object(body).get("flow_run_id"))
    key = body.get("key")
    if key is not None and not str(key).startswith(asker.pool):
        raise Forbidden
    return body


async def own_events(asker: Asker, body: Any) -> Any:
    """Events of which each is about the party's own."""
    for event in _list(body):
        await own_event(asker, event)
    return body


async def own_event(asker: Asker, event: Any) -> Any:
    """One event: of a kind that workers and flow runs send, naming nothing of others."""
    kind = str(_object(event).get("event"))
    if not kind.startswith(EVENTS):
        raise Forbidden
    related = _list(event.get("related") or [])
    named = [_name(one) for one in (event.get("resource"), *related)]
    for sort, value in named:
        if sort in OWNED:
            await _require(asker, OWNED[sort], value)
    if kind.startswith("prefect.task-run."):
        await _own_task_run(asker, event, named)
    return event


async def _own_task_run(asker: Asker, event: Any, named: list[tuple[str, str]]) -> None:
    """Prefect writes a task run down as the event tells it: it must hang on an own flow run."""
    told = _object(_object(event.get("payload") or {}).get("task_run") or {})
    if "prefect.flow-run" not in {sort for sort, _ in named} or "id" in told:
        raise Forbidden
    if told.get("flow_run_id") is not None:
        await _require(asker, "run", told["flow_run_id"])
    if not can_be_recorded(event):
        raise Forbidden


@dataclass(frozen=True)
class Rule:
    """One thing that a party may do."""

    method: str
    path: str
    check: Check | None = None
    pattern: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Compile the path."""
        parts = re.sub(r"{(\w+)}", lambda name: f"(?P<{name[1]}>{KINDS[name[1]]})", self.path)
        object.__setattr__(self, "pattern", re.compile(parts + "/?"))


RULES = (
    Rule("GET", "/health"),
    Rule("GET", "/ready"),
    Rule("GET", "/hello"),
    Rule("GET", "/csrf-token"),
    Rule("GET", "/version"),
    Rule("GET", "/admin/version"),
    Rule("GET", "/work_pools/{pool}"),
    Rule("POST", "/work_pools/{pool}/get_scheduled_flow_runs"),
    Rule("POST", "/work_pools/{pool}/workers/heartbeat"),
    Rule("POST", "/work_pools/{pool}/workers/filter"),
    Rule("POST", "/work_pools/{pool}/queues/filter"),
    Rule("GET", "/deployments/{deployment}"),
    Rule("GET", "/flows/{id}"),
    Rule("GET", "/flow_runs/{run}"),
    Rule("PATCH", "/flow_runs/{run}", harmless_fields),
    Rule("PATCH", "/flow_runs/{run}/labels"),
    Rule("POST", "/flow_runs/{run}/set_state"),
    Rule("POST", "/flow_runs/filter", narrowed),
    Rule("POST", "/logs", own_lines),
    Rule("POST", "/artifacts", own_artifact),
    Rule("POST", "/events", own_events),
    Rule("SOCKET", "/events/in", own_event),
    Rule("SOCKET", "/events/out", narrowed),
    Rule("SOCKET", "/work_pools/{pool}/workers/connect"),
)


async def rule_for(asker: Asker, method: str, path: str) -> Rule:
    """The rule that lets the request through; raises `Forbidden` where there is none."""
    for rule in RULES:
        found = rule.pattern.fullmatch(path) if rule.method == method else None
        if found:
            await _require_path(asker, found.groupdict())
            return rule
    raise Forbidden


async def _require_path(asker: Asker, names: dict[str, str]) -> None:
    for kind, value in names.items():
        if kind == "pool" and value != asker.pool:
            raise Forbidden
        if kind in ("run", "deployment"):
            await _require(asker, kind, value)


async def _require(asker: Asker, kind: str, value: object) -> None:
    if not re.fullmatch(UUID, str(value)) or not await asker.owns(kind, str(value)):
        raise Forbidden


def _name(resource: Any) -> tuple[str, str]:
    """`prefect.flow-run.ID` as its kind and its id."""
    kind, _, value = str(_object(resource).get("prefect.resource.id")).rpartition(".")
    return kind, value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Forbidden
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Forbidden
    return value
