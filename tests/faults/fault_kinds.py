"""The faults of the matrix: what is broken, when, and what a person then has to do, if anything."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from moments import MOMENTS, Moment
from stage import COORDINATOR, HOST, Scene

from flows.hub.processes import Note

Act = Callable[[Scene], str]


@dataclass(frozen=True)
class Fault:
    """A name for the table, and the deed; `act` tells what a person had to do."""

    group: str
    name: str
    act: Act

    @property
    def title(self) -> str:
        """Group and name."""
        return f"{self.group}: {self.name}"


def kills() -> list[Fault]:
    """`kill -9` of each process at each step of a round."""
    victims: dict[str, Callable[[Scene], str]] = {
        "coordinator's flow": lambda scene: _kill_flow(scene, COORDINATOR),
        "party session": lambda scene: _kill_flow(scene, HOST),
        "hospital's worker": _kill_worker,
        "Prefect server": _kill_services("prefect"),
        "MLflow server": _kill_services("mlflow"),
        "exchange": _kill_services("storage", "exchange"),
    }
    return [
        Fault("kill -9", f"{victim}, {moment.name}", _at(moment, kill))
        for victim, kill in victims.items()
        for moment in MOMENTS
    ]


def _at(moment: Moment, deed: Act) -> Act:
    def act(scene: Scene) -> str:
        with moment.held(scene):
            scene.strike()
            return deed(scene)

    return act


def _kill_flow(scene: Scene, owner: str) -> str:
    os.kill(scene.flow_process(owner), signal.SIGKILL)
    return "its worker started it again"


def _kill_worker(scene: Scene) -> str:
    hospital = scene.stage.world.hospitals[HOST]
    hospital.kill_program()
    hospital.start()  # as its service unit does
    return "its unit started it again"


def _kill_services(*names: str) -> Act:
    def deed(scene: Scene) -> str:
        notes = scene.stage.world.coordinator.home / "run"
        for name in names:
            process = Note.read(notes / f"{name}.json").process
            assert process is not None, name
            process.tell(signal.SIGKILL)
        return "the hub started it again"

    return deed
