"""What every test may ask for, and a home of its own, so that no test touches the user's."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["servers", "servers_prefect"]
ROOT = Path(__file__).resolve().parents[1]
AMBIENT = ("AWS_PROFILE", "PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_PROFILE")
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


def environment_of(home: Path) -> dict[str, str]:
    """The settings under which all tests, and the processes they start, run."""
    return {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "AWS_CONFIG_FILE": str(home / "aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "aws-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.fixture(autouse=True)
def _environment_stays() -> Iterator[None]:
    """Undo what a test leaves in the environment: MLflow keeps its tracking URI there."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real medical data, which lies beside the checkout."""
    return ROOT.parent / "shared" / "data"
