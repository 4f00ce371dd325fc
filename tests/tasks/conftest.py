"""What the tests of tracking share: a migrated database, weights of a small network, a server."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
import training_story as story
from safetensors.numpy import save_file
from servers_mlflow import mlflow_server

from fedcore.config.task import TaskFile
from fedcore.models.catalogue import build
from fedcore.models.state import to_params

__all__ = ["mlflow_server"]


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a SQLite database; artifacts lie where the task of a test says."""
    return f"sqlite:///{tmp_path_factory.mktemp('tracking') / 'mlflow.db'}"


@pytest.fixture
def task() -> TaskFile:
    """A task file with a name of its own: its own experiment and registered model."""
    return story.task_file(name=f"chest-{uuid.uuid4().hex[:8]}")


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The safetensors file of the story's network, freshly initialised."""
    path = tmp_path_factory.mktemp("weights") / "best.safetensors"
    save_file(to_params(build(story.task_file().model, seed=3)), path)
    return path


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    """A folder such as the coordinator leaves: task file, ledger head, a figure."""
    folder = tmp_path / "artifacts"
    (folder / "figures").mkdir(parents=True)
    (folder / "task.yaml").write_text("task_type: classification\n")
    (folder / "figures" / "curves.png").write_bytes(b"\x89PNG")
    return folder


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where MLflow's default puts `mlruns/`: never the checkout."""
    monkeypatch.chdir(tmp_path)
