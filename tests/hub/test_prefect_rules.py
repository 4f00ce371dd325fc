"""What a party may do at Prefect, as laws over the table: all else is refused."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.hub.prefect_rules import (
    RULES,
    Forbidden,
    harmless_fields,
    narrowed,
    own_artifact,
    own_event,
    own_lines,
    rule_for,
)

OWN, OTHER, POOL = str(uuid.UUID(int=1)), str(uuid.UUID(int=2)), str(uuid.UUID(int=3))
METHODS = st.sampled_from(["GET", "POST", "PATCH", "PUT", "DELETE", "SOCKET", "HEAD", "OPTIONS"])
# Everything that Prefect offers to change what others run, with ids that would be the party's own.
NEVER = [
    ("POST", "/deployments/"),
    ("PATCH", f"/deployments/{OWN}"),
    ("DELETE", f"/deployments/{OWN}"),
    ("POST", f"/deployments/{OWN}/create_flow_run"),
    ("POST", f"/deployments/{OWN}/schedules"),
    ("POST", "/deployments/filter"),
    ("POST", "/flow_runs/"),
    ("DELETE", f"/flow_runs/{OWN}"),
    ("POST", f"/flow_runs/{OWN}/resume"),
    ("POST", "/flow_runs/bulk_set_state"),
    ("POST", "/flow_runs/history"),
    ("POST", "/flows/"),
    ("DELETE", f"/flows/{OWN}"),
    ("PATCH", "/work_pools/party-1"),
    ("DELETE", "/work_pools/party-1"),
    ("POST", "/work_pools/"),
    ("POST", "/work_pools/filter"),
    ("POST", "/automations/"),
    ("POST", "/block_documents/"),
    ("POST", "/block_documents/filter"),
    ("POST", "/variables/"),
    ("GET", "/variables/name/secret"),
    ("GET", "/admin/settings"),
    ("POST", "/admin/database/clear"),
    ("POST", "/logs/filter"),
    ("POST", "/events/filter"),
    ("SOCKET", "/logs/out"),
    ("POST", "/task_runs/"),
    ("POST", "/concurrency_limits/"),
]


@dataclass
class Someone:
    """A party that owns what has the id `OWN`, and its pool."""

    pool: str = "party-1"
    asked: list[str] = field(default_factory=list)

    async def owns(self, kind: str, value: str) -> bool:
        self.asked.append(value)
        return value == (POOL if kind == "pool" else OWN)


def may(method: str, path: str) -> bool:
    try:
        asyncio.run(rule_for(Someone(), method, path))
    except Forbidden:
        return False
    return True


def passes(check, body) -> bool:
    try:
        asyncio.run(check(Someone(), body))
    except Forbidden:
        return False
    return True


@pytest.mark.parametrize(("method", "path"), NEVER)
def test_what_changes_the_work_of_others_is_refused(method, path):
    assert not may(method, path)


@given(METHODS, st.text(max_size=60))
def test_a_path_that_nobody_thought_of_is_refused(method, path):
    assert not may(method, f"/{path}") or any(rule.pattern.fullmatch(f"/{path}") for rule in RULES)


@given(st.sampled_from(RULES), METHODS)
def test_a_rule_holds_for_its_own_method_alone(rule, method):
    path = rule.path.format(pool="party-1", run=OWN, deployment=OWN, id=OWN)
    allowed = {one.method for one in RULES if one.pattern.fullmatch(path)}
    assert may(method, path) == (method in allowed)
    assert may(rule.method, path)


@given(st.sampled_from([rule for rule in RULES if "{pool}" in rule.path]), st.text(max_size=20))
def test_another_pool_is_refused(rule, name):
    path = rule.path.replace("{pool}", name if name != "party-1" else "party-2")
    assert not may(rule.method, path)


@pytest.mark.parametrize("name", ["party-10", "party-", "coordinator", "party-1/../party-2", "*"])
def test_names_near_ones_own_are_refused(name):
    assert not may("GET", f"/work_pools/{name}")
    assert not may("POST", f"/work_pools/{name}/get_scheduled_flow_runs")


def test_a_flow_run_and_a_deployment_of_others_are_refused():
    assert may("GET", f"/flow_runs/{OWN}")
    assert not may("GET", f"/flow_runs/{OTHER}")
    assert not may("POST", f"/flow_runs/{OTHER}/set_state")
    assert not may("GET", f"/deployments/{OTHER}")


def test_a_search_is_held_to_the_own_pool():
    wide = {"flow_runs": {"id": {"any_": [OTHER]}}, "work_pools": {"name": {"any_": ["all"]}}}
    held = asyncio.run(narrowed(Someone(), wide))
    assert held == {**wide, "work_pools": {"name": {"any_": ["party-1"]}}}
    assert not passes(narrowed, [])


def test_what_was_ordered_stays_as_it_is():
    assert passes(harmless_fields, {"infrastructure_pid": "me:1"})
    assert not passes(harmless_fields, {"infrastructure_pid": "me:1", "parameters": {}})
    assert not passes(harmless_fields, {"job_variables": {}})


def test_log_lines_are_of_own_flow_runs():
    line = {"name": "n", "level": 20, "message": "m"}
    assert passes(own_lines, [line, {**line, "flow_run_id": OWN}])
    assert not passes(own_lines, [{**line, "flow_run_id": OWN}, {**line, "flow_run_id": OTHER}])
    assert not passes(own_lines, [{**line, "task_run_id": OTHER}])
    assert not passes(own_lines, [{**line, "flow_run_id": {"not": "an id"}}])


def test_an_artifact_is_of_an_own_flow_run_and_takes_nobodys_name():
    assert passes(own_artifact, {"flow_run_id": OWN, "key": "party-1-report"})
    assert not passes(own_artifact, {"flow_run_id": OWN, "key": "champion"})
    assert not passes(own_artifact, {"flow_run_id": OTHER})
    assert not passes(own_artifact, {"key": "party-1-report"})


def event(kind: str, *ids: str, **payload) -> dict:
    first, *related = [{"prefect.resource.id": one, "prefect.resource.role": "x"} for one in ids]
    return {"event": kind, "resource": first, "related": related, "payload": payload}


def test_events_name_nothing_of_others():
    own, other = f"prefect.flow-run.{OWN}", f"prefect.flow-run.{OTHER}"
    assert passes(own_event, event("prefect.flow-run.heartbeat", own))
    assert not passes(own_event, event("prefect.flow-run.heartbeat", other))
    worker = "prefect.worker.process.me"
    assert passes(own_event, event("prefect.worker.started", worker, f"prefect.work-pool.{POOL}"))
    assert not passes(own_event, event("prefect.worker.x", worker, f"prefect.work-pool.{OTHER}"))
    assert not passes(own_event, event("prefect.worker.x", worker, f"prefect.deployment.{OTHER}"))


@pytest.mark.parametrize("kind", ["prefect.flow-run.Completed", "drift.found", "", "prefect"])
def test_events_that_could_start_something_are_refused(kind):
    assert not passes(own_event, event(kind, f"prefect.flow-run.{OWN}"))


def task_event(*ids: str, state: object = None, **told: object) -> dict:
    """An event that tells of a task run, as Prefect's client sends it."""
    task_run = {"task_key": "k", "dynamic_key": "0", "name": "train", **told}
    said = {"type": "COMPLETED", "name": "Completed"} if state is None else state
    sent = event("prefect.task-run.Completed", *ids, task_run=task_run, validated_state=said)
    return sent | {"id": OTHER, "occurred": "2026-11-01T10:00:00Z"}


def test_a_task_run_is_written_down_under_an_own_flow_run_alone():
    own, task = f"prefect.flow-run.{OWN}", f"prefect.task-run.{OTHER}"
    assert passes(own_event, task_event(task, own))
    assert passes(own_event, task_event(task, own, flow_run_id=OWN))
    assert not passes(own_event, task_event(task, own, flow_run_id=OTHER))
    assert not passes(own_event, task_event(task, own, id=OTHER))
    assert not passes(own_event, task_event(task, f"prefect.flow-run.{OTHER}"))
    assert not passes(own_event, task_event(task))


@pytest.mark.parametrize(
    "spoiled",
    [
        {"payload": {}},
        {"payload": {"task_run": {}}},
        {"occurred": "never"},
        {"id": 7},
        {"resource": {"prefect.resource.id": "prefect.task-run.no-uuid"}},
    ],
    ids=str,
)
def test_an_event_that_prefect_could_not_write_down_is_refused(spoiled):
    """Else it would take everybody's task runs of the same batch with it."""
    own, task = f"prefect.flow-run.{OWN}", f"prefect.task-run.{OTHER}"
    assert not passes(own_event, task_event(task, own) | spoiled)
    assert not passes(own_event, task_event(task, own, state={"type": "NO SUCH STATE"}))
    assert not passes(own_event, task_event(task, own, run_count="many"))


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=5) | st.integers(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    )
)
def test_no_body_makes_a_check_fail_otherwise_than_by_refusing(body):
    for check in {rule.check for rule in RULES if rule.check}:
        passes(check, body)
        passes(check, [body])
        passes(check, {"event": "prefect.worker.x", "resource": body, "related": body})
