"""Ports for the hub's services: free ones, chosen once and then kept."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterable

from fedcore.errors import InputError, problem

NAMES = ("s3", "master", "filer", "volume", "admin", "prefect", "mlflow")
# Below the range from which the system hands out ports by itself, and so is each plus 10000.
RANGE = range(11_000, 22_000)
GRPC_OFFSET = 10_000  # SeaweedFS opens a second port so much above each
HIGHEST = 65_535 - GRPC_OFFSET
PUBLIC = {"exchange": "s3", "prefect": "prefect", "mlflow": "mlflow"}


def given_ports(texts: Iterable[str]) -> dict[str, int]:
    """Ports as a person gives them, `prefect=4200`; `InputError` for what is none."""
    ports: dict[str, int] = {}
    for text in texts:
        name, _, number = text.partition("=")
        if name not in PUBLIC or not number.isdecimal() or not 0 < int(number) <= HIGHEST:
            names = ", ".join(PUBLIC)
            remedy = f"write NAME=NUMBER, NAME one of {names}, NUMBER from 1 to {HIGHEST}"
            raise InputError(problem("command line", "--port", text, remedy))
        ports[PUBLIC[name]] = int(number)
    return ports


def choose_ports(given: dict[str, int]) -> dict[str, int]:
    """A port for each name: the given one, or a free one whose gRPC twin is free as well."""
    start = secrets.randbelow(len(RANGE))
    order = (RANGE.start + (start + step) % len(RANGE) for step in range(len(RANGE)))
    taken = set(given.values())
    free = (one for one in order if one not in taken and is_free(one))
    return {name: given.get(name) or next(free) for name in NAMES}


def is_free(port: int) -> bool:
    """Whether a port and its gRPC twin can be taken now."""
    return _bindable(port) and _bindable(port + GRPC_OFFSET)


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
