"""Servers and a small world for the deployed flows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from rounds_story import hospitals, task_file
from servers_mlflow import mlflow_server
from small_world import SmallWorld

from fedcore.config.task import TaskFile
from fedcore.simulation import Outcome, World, simulate

__all__ = ["mlflow_server"]


@pytest.fixture(scope="session")
def task() -> TaskFile:
    return task_file(epochs=3)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return hospitals(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def simulated(task, data, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return simulate(task, data, World(tmp_path_factory.mktemp("simulated")))


@pytest.fixture(scope="session")
def world(
    tmp_path_factory: pytest.TempPathFactory, prefect_server, mlflow_server, seaweedfs, data
) -> Iterator[SmallWorld]:
    """A hub with two hospitals; all three workers run."""
    folder = tmp_path_factory.mktemp("world")
    world = SmallWorld(folder, prefect_server, mlflow_server, seaweedfs, data)
    world.start("coordinator", "1", "2")
    yield world
    world.end()
