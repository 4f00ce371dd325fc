"""What the coordinator and the process that writes to MLflow say to each other, line by line."""

from __future__ import annotations

from typing import Literal

from fedcore.config.base import Section
from fedcore.config.task import TaskFile
from fedcore.rounds.messages import Agreement, End, Hello, Record


class Training(Section):
    """Which training is told of, and where: `Tracking.open`."""

    uri: str | None
    task: TaskFile
    agreement: Agreement
    hellos: dict[str, Hello]


class Ending(Section):
    """How it ended: `Tracking.finish`; folder and file are this machine's."""

    end: End
    artifacts: str
    weights: str


class Failure(Section):
    """Why it ended early: `Tracking.fail`."""

    reason: str
    killed: bool


class Wish(Section):
    """Exactly one thing to do; `records` go with an ending, or alone with `Tracking.sync`."""

    training: Training | None = None
    records: tuple[Record, ...] = ()
    ending: Ending | None = None
    failure: Failure | None = None


class Answer(Section):
    """`done` with what there is to say, or `away` with the reason."""

    kind: Literal["done", "away"]
    text: str = ""
    uri: str = ""
