"""The recurring training: a new run that starts from the champion, and makes a challenger."""

from __future__ import annotations

import datetime
import os

from prefect import flow
from prefect.runtime import flow_run

from flows.deployed_seat import Wish, read_task
from flows.deployed_training import (
    PartiesParameter,
    RunParameter,
    TaskFileParameter,
    hub_here,
    train,
)
from flows.flow_voice import STOPPED, FlowVoice
from flows.hub.home import Hub
from tasks.tracking import TrackingAway
from tasks.tracking_registry import champion

PAUSE = 15.0  # seconds between two tries


@flow(name="retraining", persist_result=False, validate_parameters=False)
def retraining(
    task_file: TaskFileParameter, run: RunParameter = None, parties: PartiesParameter = None
) -> str:
    """Train anew from the champion's weights where there is one; the challenger's version."""
    task, _ = read_task(task_file)
    weights = _champion(task.name, hub_here())
    return train(Wish(task_file, run or _name_of(task.name), parties, weights))


def _champion(name: str, hub: Hub) -> str | None:
    """The champion to start from; while MLflow is away, it is waited for."""
    voice = FlowVoice(STOPPED, open_words=True)
    os.environ.update(hub.mlflow_environ())
    while True:
        try:
            return champion(name, hub.mlflow_url)
        except TrackingAway as away:
            voice.say(f"{away} (the retraining begins when it is back)")
            voice.pause(PAUSE)


def _name_of(task: str) -> str:
    """The task's name with the day and minute that the flow run was scheduled for."""
    due = flow_run.scheduled_start_time or datetime.datetime.now(datetime.UTC)
    return f"{task.replace('.', '-')[:40]}-{due:%Y%m%d-%H%M}"
