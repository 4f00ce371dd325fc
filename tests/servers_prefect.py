"""A real Prefect server on a free loopback port, for tests that start several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that ends with the test session."""
    home = tmp_path_factory.mktemp("prefect-server")
    environ = {**os.environ, "PREFECT_HOME": str(home)}
    environ.pop("PREFECT_API_URL", None)
    with subprocess.Popen(
        [sys.executable, "-m", "flows.prefect_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environ,
    ) as process:
        assert process.stdout is not None
        kind, url, *_ = process.stdout.readline().split()
        assert kind == "temporary"
        yield url
        process.communicate()
