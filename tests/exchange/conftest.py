"""Every store, each fresh and empty, under one name."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from fedcore.config.party import Address
from fedcore.exchange.folder import FolderStore
from fedcore.exchange.memory import MemoryStore
from fedcore.exchange.opening import open_store
from fedcore.exchange.store import ObjectStore

NUMBERS = itertools.count()


def _refusing_link(part: Path, target: Path) -> None:
    raise PermissionError(1, "this file system has no hard links")


def _s3(request: pytest.FixtureRequest) -> ObjectStore:
    server = request.getfixturevalue("seaweedfs")
    address = Address("s3", server.endpoint, f"bucket-{next(NUMBERS)}")
    return open_store(address, server.environ)


MAKERS: dict[str, Callable[[pytest.FixtureRequest], ObjectStore]] = {
    "memory": lambda request: MemoryStore(),
    "folder": lambda request: FolderStore(request.getfixturevalue("tmp_path") / "exchange"),
    "folder-without-hard-links": lambda request: FolderStore(
        request.getfixturevalue("tmp_path") / "exchange", _refusing_link
    ),
    "s3": _s3,
}


@pytest.fixture(
    params=[
        "memory",
        "folder",
        "folder-without-hard-links",
        pytest.param("s3", marks=pytest.mark.servers),
    ]
)
def store(request: pytest.FixtureRequest) -> ObjectStore:
    made = MAKERS[request.param](request)
    made.prepare()
    return made
