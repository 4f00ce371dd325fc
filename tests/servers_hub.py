"""A whole running hub for tests: exchange, Prefect, MLflow and the coordinator's worker."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flows.hub.home import Hub
from flows.hub.starting import Wish, down, up

AMBIENT = ("AWS_", "PREFECT_", "MLFLOW_", "FEDCORE_")


@contextmanager
def running(home: Path, environ: Mapping[str, str] | None = None, **options: Any) -> Iterator[Hub]:
    """A hub in `home`, ended in the end; `options` are fields of its settings."""
    said: list[str] = []
    try:
        yield up(Wish(home, options=options), {**plain(), **(environ or {})}, said.append)
    finally:
        if (home / "hub.json").exists():
            down(Hub.load(home), said.append)


def plain() -> dict[str, str]:
    """The environment without settings that are meant for other tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith(AMBIENT)}


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A running hub, shared by all tests that ask for it: leave it as you found it, running."""
    with running(tmp_path_factory.mktemp("hub") / "coordinator") as hub:
        yield hub
