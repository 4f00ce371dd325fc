"""What a worker serves: flows by name, what it lets through of their parameters, and their code.

The Prefect server says only *which* flow run is due. Command, entrypoint, pull steps, working
folder and environment that a deployment or pool may name are never read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from fedcore.errors import InputError, nearest, problem
from fedcore.rounds.identity import RUN_NAME

if TYPE_CHECKING:
    from prefect import Flow

Parameters = Mapping[str, Any]
LONGEST_TASK_FILE = 256 << 10  # characters; Prefect itself stores half a megabyte


@dataclass(frozen=True)
class Service:
    """A flow under the name that Prefect knows it by.

    `accept` answers the parameters to run it with, or raises `InputError` in one sentence; `load`
    imports it, which may take seconds.
    """

    flow: str
    accept: Callable[[Parameters], dict[str, Any]]
    load: Callable[[], Flow[..., Any]]


def choose(services: tuple[Service, ...], name: str) -> Service:
    """The service of that name; `InputError` for a flow that is not served here."""
    for service in services:
        if service.flow == name:
            return service
    remedy = "start it in the pool of a worker that serves it"
    known = nearest(name, [service.flow for service in services])
    raise InputError(f"this worker does not run the flow {name!r}: {remedy} ({known})")


def only(parameters: Parameters, *names: str) -> None:
    """Raise `InputError` for a parameter that is not one of `names`."""
    strange = sorted(parameters.keys() - set(names))
    if strange:
        remedy = f"leave it out; known: {', '.join(names)}"
        raise InputError(problem("flow run", f"parameter {strange[0]}", "given", remedy))


def run_name(value: Any) -> str:
    """A run's name as text; `InputError` for anything else."""
    if not isinstance(value, str) or not RUN_NAME.fullmatch(value):
        remedy = "use up to 63 letters, digits, - and _"
        raise InputError(problem("flow run", "parameter run", value, remedy))
    return value


def accept_session(parameters: Parameters) -> dict[str, Any]:
    """A session is told the run's name, nothing else."""
    only(parameters, "run")
    return {"run": run_name(parameters.get("run"))}


def accept_training(parameters: Parameters) -> dict[str, Any]:
    """A training is told its task file, and perhaps its name and its parties."""
    only(parameters, "task_file", "run", "parties")
    accepted: dict[str, Any] = {"task_file": _task_file(parameters.get("task_file"))}
    if parameters.get("run") is not None:
        accepted["run"] = run_name(parameters["run"])
    if parameters.get("parties") is not None:
        accepted["parties"] = _names(parameters["parties"])
    return accepted


def _task_file(value: Any) -> str | dict[str, Any]:
    given = isinstance(value, dict) or (isinstance(value, str) and bool(value.strip()))
    if given and len(str(value)) <= LONGEST_TASK_FILE:
        return cast(str | dict[str, Any], value)
    remedy = "name a file on the coordinator's machine, or give the content"
    raise InputError(problem("flow run", "parameter task_file", value, remedy))


def _names(value: Any) -> list[str]:
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return value
    remedy = "give a list of party ids, or leave it out for all that joined"
    raise InputError(problem("flow run", "parameter parties", value, remedy))
