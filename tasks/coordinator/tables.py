"""The rounds as tables on Prefect's page: each once, and never a reason to stop.

Which rounds there are is read from the exchange, and which of them Prefect shows already from
Prefect; so what it missed while it was away is shown at the next chance, whoever makes it. A
process asks at its beginning, after each failure and at the end, and else makes what is new.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
)
from prefect.runtime import flow_run

from fedcore.config.task import TaskFile
from fedcore.metrics import metrics_of
from fedcore.rounds import coordinator
from fedcore.rounds.messages import Record, line
from tasks.coordinator.desk import desk_at
from tasks.quick_line import QuickLine
from tasks.voices import voice_of

PATIENCE = 5.0  # seconds for one answer
PAUSE = 10.0
PAGE = 100  # keys in one question
_LINE = QuickLine(PATIENCE)
_SEEN: dict[str, set[str]] = {}  # by flow run, once it has asked: the keys that Prefect has


def show(seat: str) -> bool:
    """Make the tables that Prefect does not have; whether it has all of them now."""
    desk = desk_at(seat)
    mine = flow_run.id
    if mine is None:  # a task that is called without Prefect
        return True
    try:
        with _LINE.open() as api:
            _make_missing(api, UUID(mine), coordinator.records(desk), desk.task)
    except (httpx.HTTPError, ValueError, OSError):
        _SEEN.pop(mine, None)  # the answer may be what was lost
        return False
    return True


def show_all(seat: str) -> None:
    """`show` at the end of a training: where the voice is patient, until Prefect is back."""
    voice = voice_of(seat)
    _SEEN.clear()
    while not show(seat) and voice.patient:
        voice.say("Prefect does not answer: the rounds' tables are made when it is back")
        voice.pause(PAUSE)


def _make_missing(
    api: SyncPrefectClient, mine: UUID, done: Sequence[Record], task: TaskFile
) -> None:
    keys = {key_of(record): record for record in done}
    seen = _SEEN.get(str(mine))
    if seen is None:
        seen = _shown_already(api, mine, list(keys))
    for key, record in keys.items():
        if key not in seen:
            api.create_artifact(_artifact(mine, key, record, task))
            seen.add(key)
    _SEEN[str(mine)] = seen


def _shown_already(api: SyncPrefectClient, mine: UUID, keys: Sequence[str]) -> set[str]:
    """Those of the keys that Prefect has."""
    own = ArtifactFilterFlowRunId(any_=[mine])
    found: set[str] = set()
    for start in range(0, len(keys), PAGE):
        page = ArtifactFilterKey(any_=list(keys[start : start + PAGE]))
        told = api.read_artifacts(artifact_filter=ArtifactFilter(key=page, flow_run_id=own))
        found |= {one.key for one in told if one.key is not None}
    return found


def _artifact(mine: UUID, key: str, record: Record, task: TaskFile) -> ArtifactCreate:
    text, data = line(record, task), json.dumps(_table(record, metrics_of(task.task_type)))
    return ArtifactCreate(key=key, type="table", description=text, data=data, flow_run_id=mine)


def key_of(record: Record) -> str:
    """The artifact's key: lower-case letters, digits and dashes, as Prefect wants it."""
    slug = "".join(letter if letter.isalnum() else "-" for letter in record.run.lower())
    return f"{slug}-round-{record.round:03d}"


def _table(written: Record, metrics: Sequence[str]) -> list[dict[str, object]]:
    """One row per party, one for their plain average, one for the federation."""
    trained = [f"train_{name}" for name in ("loss", "accuracy") if name in metrics]
    columns = [*metrics, *trained]
    rows: list[dict[str, object]] = []
    for party, result in sorted(written.parties.items()):
        numbers = {name: _shown(getattr(result, name)) for name in columns}
        name = {"party": f"{result.role}-{party}", "status": result.status}
        rows.append({**name, "patients": result.patients, **numbers})
    averages = {name: _shown(getattr(written, f"average_{name}")) for name in metrics}
    rows.append({"party": "average", "status": "", **averages})
    numbers = {name: _shown(getattr(written, name)) for name in columns}
    patients = sum(result.patients for result in written.parties.values())
    rows.append({"party": "federated", "status": "", "patients": patients, **numbers})
    return rows


def _shown(value: float | None) -> str:
    return "withheld" if value is None else f"{value:.4f}"
