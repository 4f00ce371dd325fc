"""Whether a hub runs: what each service's note says, and what its probe answers."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from flows.hub.home import Hub
from flows.hub.keeper import note_path
from flows.hub.processes import Note
from flows.hub.service import Service

ANSWERS, STARTING, DEAD = "answers", "starting", "dead"


@dataclass(frozen=True)
class State:
    """How a service is: `answers`, `starting` or `dead`, and since when (seconds of the epoch)."""

    service: Service
    word: str
    note: Note

    @property
    def answers(self) -> bool:
        """Whether it can be used."""
        return self.word == ANSWERS

    def describe(self) -> str:
        """One line for a person."""
        process = self.note.process
        where = f"at {self.service.address}, " if self.service.address else ""
        who = f"pid {process.pid}, " if process and self.word != DEAD else ""
        return f"{self.service.name}: {where}{who}since {self._since}{self._deaths}"

    @property
    def _since(self) -> str:
        if not self.note.since:
            return "ever: it was not started yet"
        when = datetime.datetime.fromtimestamp(self.note.since, datetime.UTC)
        return f"{when.astimezone():%Y-%m-%d %H:%M:%S}"

    @property
    def _deaths(self) -> str:
        return f", died {self.note.deaths} times" if self.note.deaths else ""


def state_of(hub: Hub, service: Service) -> State:
    """Look at one service."""
    note = Note.read(note_path(hub, service.name))
    process = note.process
    if process is None or not process.alive:
        return State(service, DEAD, note)
    ready = service.probe(f"{process.boot}-{process.ticks}")
    return State(service, ANSWERS if ready else STARTING, note)


def states(hub: Hub, table: Iterable[Service]) -> list[State]:
    """Look at all of them."""
    return [state_of(hub, service) for service in table]


def keeper_note(hub: Hub) -> Note:
    """The keeper's note."""
    return Note.read(note_path(hub, "keeper"))


def keeper_runs(hub: Hub) -> bool:
    """Whether somebody keeps the hub."""
    process = keeper_note(hub).process
    return process is not None and process.alive
