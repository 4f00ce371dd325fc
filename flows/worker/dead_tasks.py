"""Task runs that a process which died left unfinished: Prefect is told that they crashed.

Prefect learns of task runs from the events of their own process alone; without a word from the
next one they would stay Running on its page for ever.
"""

from __future__ import annotations

import datetime
from typing import Any
from uuid import UUID

Item = dict[str, Any]
TASK = "prefect.task-run."
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
MESSAGE = "its process died; the step is done again"


def follow(unfinished: dict[str, Item], item: Item) -> None:
    """Keep in mind the last event of a task run until the one that ends it."""
    body = item.get("body")
    if not isinstance(body, dict) or not str(body.get("event")).startswith(TASK):
        return
    task = str((body.get("resource") or {}).get("prefect.resource.id"))
    state = (body.get("payload") or {}).get("validated_state") or {}
    if state.get("type") in FINAL:
        unfinished.pop(task, None)
    else:
        unfinished[task] = item


def crashed(item: Item, event: UUID, now: datetime.datetime) -> Item:
    """The event that ends the task run whose last one was `item`."""
    body, moment = item["body"], now.isoformat()
    payload, last = body["payload"], body["payload"]["validated_state"]
    state = {**last, "type": "CRASHED", "name": "Crashed", "message": MESSAGE, "data": None}
    before = {name: value for name, value in last.items() if name != "data"}
    told = {
        "intended": {"from": last["type"], "to": "CRASHED"},
        "initial_state": before,
        "validated_state": state,
        "task_run": {**payload["task_run"], "end_time": moment},
    }
    resource = {
        **body["resource"],
        "prefect.state-message": MESSAGE,
        "prefect.state-name": "Crashed",
        "prefect.state-timestamp": moment,
        "prefect.state-type": "CRASHED",
    }
    changed = {"id": str(event), "occurred": moment, "event": f"{TASK}Crashed", "follows": None}
    return {**item, "body": {**body, **changed, "payload": told, "resource": resource}}
