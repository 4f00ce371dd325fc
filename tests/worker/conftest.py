"""A pool and a worker of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from servers_prefect_again import PrefectServer
from worker_story import Pool, Worker


@pytest.fixture
def pool(prefect_server: PrefectServer, tmp_path: Path) -> Pool:
    """A pool of this test's own."""
    return Pool(prefect_server.url, f"pool-{tmp_path.name.replace('_', '-')[:40]}")


@pytest.fixture
def worker(pool: Pool, tmp_path: Path) -> Iterator[Worker]:
    """A worker that is not started yet and ends with the test."""
    worker = Worker(pool, tmp_path)
    yield worker
    worker.end()
