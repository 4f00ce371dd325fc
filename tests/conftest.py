"""What every test may ask for, and a home of its own, so that no test touches the user's."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ambient import AMBIENT, environment_of
from hypothesis import settings

pytest_plugins = [
    "servers",
    "servers_hub",
    "servers_postgres",
    "servers_prefect",
    "servers_prefect_again",
]
ROOT = Path(__file__).resolve().parents[1]
HOME = pytest.StashKey[tempfile.TemporaryDirectory]()
ENVIRONMENT = pytest.StashKey[dict]()

settings.register_profile("house", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("house")


def pytest_configure(config: pytest.Config) -> None:
    """Move home and settings before any test module imports Prefect, MLflow or boto3."""
    config.stash[ENVIRONMENT] = dict(os.environ)
    config.stash[HOME] = tempfile.TemporaryDirectory(
        prefix="fedcore-tests-", ignore_cleanup_errors=True
    )
    for name in AMBIENT:
        os.environ.pop(name, None)
    os.environ.update(environment_of(Path(config.stash[HOME].name)))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give the environment back and remove the home of the tests."""
    if ENVIRONMENT in config.stash:
        os.environ.clear()
        os.environ.update(config.stash[ENVIRONMENT])
        config.stash[HOME].cleanup()


@pytest.fixture(autouse=True)
def _environment_stays() -> Iterator[None]:
    """Undo what a test leaves in the process: MLflow keeps its URIs there."""
    before = dict(os.environ)
    yield
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_registry_uri("")
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real medical data, which lies beside the checkout."""
    return ROOT.parent / "shared" / "data"
