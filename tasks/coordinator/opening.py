"""Opening a training: found the run, welcome the parties, take over the initial model."""

from __future__ import annotations

from fedcore.rounds import coordinator
from tasks.coordinator.desk import desk_at
from tasks.options import step
from tasks.voices import voice_of


@step("found")
def found(seat: str) -> str:
    """Publish which task is trained with which parties; the task file's hash."""
    return coordinator.found(desk_at(seat)).task_hash


@step("welcome")
def welcome(seat: str) -> list[str]:
    """Wait for the parties; the ids of those who came."""
    hellos = coordinator.welcome(desk_at(seat))
    for party, hello in hellos.items():
        counts = {"patients": hello.patients, "images": hello.images}
        voice_of(seat).tell("hello", party=party, quarantine=hello.quarantine, **counts)
    return list(hellos)


@step("initial model")
def adopt_initial_model(seat: str) -> str:
    """Make the guest's initial model the model of round 0; its SHA-256."""
    return coordinator.adopt_initial_model(desk_at(seat)).sha256
