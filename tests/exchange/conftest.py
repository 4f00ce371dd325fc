"""Every store, each fresh and empty, under one name; and a real server behind a bad line."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fault_proxy import FaultProxy, fault_proxy
from servers import SeaweedFS
from transfer_story import BODY

from fedcore.config.party import Address
from fedcore.exchange.folder import FolderStore
from fedcore.exchange.memory import MemoryStore
from fedcore.exchange.opening import open_store
from fedcore.exchange.s3 import S3Store
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
    "folder-for-now": lambda request: FolderStore(
        request.getfixturevalue("tmp_path") / "exchange", lasting=False
    ),
    "folder-without-hard-links": lambda request: FolderStore(
        request.getfixturevalue("tmp_path") / "exchange", _refusing_link
    ),
    "s3": _s3,
}


@pytest.fixture(
    params=[
        "memory",
        "folder",
        "folder-for-now",
        "folder-without-hard-links",
        pytest.param("s3", marks=pytest.mark.servers),
    ]
)
def store(request: pytest.FixtureRequest) -> ObjectStore:
    made = MAKERS[request.param](request)
    made.prepare()
    return made


@pytest.fixture(scope="module")
def ground(seaweedfs):
    """A bucket of several owners and a party's access to it."""
    # Not at the top: the other tests here need no boto3 of their own.
    from s3_users_story import make_ground  # noqa: PLC0415

    return make_ground(seaweedfs)


@pytest.fixture
def proxy(seaweedfs: SeaweedFS) -> Iterator[FaultProxy]:
    """A line to the server that misbehaves on demand."""
    with fault_proxy(seaweedfs.endpoint) as made:
        yield made


@pytest.fixture(scope="session")
def bucket(seaweedfs: SeaweedFS) -> str:
    """A bucket for large transfers: making one takes the server longer than filling it."""
    S3Store(seaweedfs.endpoint, "transfers", seaweedfs.environ).prepare()
    return "transfers"


@pytest.fixture
def key() -> str:
    """A key that no other test writes."""
    return f"k{next(NUMBERS)}/large"


@pytest.fixture
def behind(proxy: FaultProxy, bucket: str, seaweedfs: SeaweedFS) -> S3Store:
    """The bucket through the proxy; its pauses take no time."""
    return S3Store(proxy.endpoint, bucket, seaweedfs.environ, pause=lambda _: None)


@pytest.fixture
def direct(bucket: str, seaweedfs: SeaweedFS) -> S3Store:
    """The bucket without the proxy."""
    return S3Store(seaweedfs.endpoint, bucket, seaweedfs.environ)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file of three parts, in a folder of its own."""
    path = tmp_path / "spool" / "large"
    path.parent.mkdir()
    path.write_bytes(BODY)
    return path
