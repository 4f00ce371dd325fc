"""The coordinator's flow as it is deployed: started from Prefect's page, its command or a schedule.

It starts a session at every hospital through that hospital's pool, and then trains exactly as the
command does. Killed at any line, it goes on where it was, as the same flow run.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from prefect import flow
from prefect.context import SyncClientContext
from prefect.runtime import flow_run
from pydantic import Field

from fedcore.errors import InputError
from flows.deployed_seat import Wish, take_seat
from flows.federated_training import conduct
from flows.flow_voice import STOPPED, FlowVoice
from flows.hub.home import Hub
from tasks.coordinator import sessions
from tasks.seat import Seat
from tasks.voices import attach

HUB = "FEDCORE_HUB"
TaskFileParameter = Annotated[
    str | dict[str, Any],
    Field(
        title="Task file",
        description="A task file on the coordinator's machine, or the content of one",
    ),
]
RunParameter = Annotated[
    str | None,
    Field(title="Run", description="A name of its own; by default from task file and parties"),
]
PartiesParameter = Annotated[
    list[str] | None,
    Field(title="Parties", description="Ids of those that take part; by default all that joined"),
]


@flow(name="federated-training", persist_result=False, validate_parameters=False)
def federated_training(
    task_file: TaskFileParameter, run: RunParameter = None, parties: PartiesParameter = None
) -> str:
    """Train one model at all hospitals that joined; the registered model's name and version."""
    return train(Wish(task_file, run, parties))


def train(wish: Wish) -> str:
    """Take the seat, have the sessions kept going, and train."""
    hub = hub_here()
    os.environ.update(hub.exchange_environ() | hub.mlflow_environ())
    voice = FlowVoice(STOPPED, open_words=True)
    seat = take_seat(hub, wish, voice.watch())
    path = str(seat.path)
    attach(path, voice)
    _show(seat, wish)
    with sessions.kept(path, voice.say):
        sessions.begin(path)
        return conduct(path)


def hub_here() -> Hub:
    """The hub that this process works for."""
    home = os.environ.get(HUB)
    if home is None:
        raise InputError(f"{HUB} is not set: start this flow through the pool of the coordinator")
    return Hub.load(Path(home))


def _show(seat: Seat, wish: Wish) -> None:
    """Name the flow run after its run and pin what was chosen: a restart goes on with the same."""
    mine, context = flow_run.id, SyncClientContext.get()
    if mine is None or context is None:
        return
    chosen = {
        "task_file": seat.task.model_dump(mode="json"),
        "run": seat.run,
        "parties": [member.party_id for member in seat.members],
    }
    parameters = {**flow_run.parameters, **chosen}
    context.client.update_flow_run(UUID(mine), name=seat.run, parameters=parameters)
