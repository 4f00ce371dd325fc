"""The line to MLflow: how it is opened, how long it may stay silent, what its failures become.

MLflow can be configured only through the process's environment. What a person has set there
stays; otherwise a silent server is given up after a bounded time, and no third party hears of it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from urllib.parse import urlsplit

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.telemetry import set_telemetry_client
from sqlalchemy.exc import SQLAlchemyError

from tasks.tracking_away import TrackingAway

__all__ = ["DEFAULT_URI", "TrackingAway", "connect", "reaching", "shown"]

DEFAULT_URI = "sqlite:///mlflow.db"
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
CHATTY = ("alembic", "mlflow.store", "mlflow.pyfunc", "mlflow.models", "urllib3.connectionpool")


def connect(uri: str | None, environment: MutableMapping[str, str] = os.environ) -> MlflowClient:
    """A client for tracking and registry at `uri` that gives up after a bounded time.

    Raises `TrackingAway` when the database behind a `sqlite:` or similar URI cannot be opened.
    """
    for name, value in SETTINGS.items():
        environment.setdefault(name, value)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)  # failures are raised
    set_telemetry_client()  # type: ignore[no-untyped-call]
    place = uri or DEFAULT_URI
    mlflow.set_tracking_uri(place)  # the registry's SQL store looks up logged models through it
    mlflow.set_registry_uri(place)
    with reaching(place):
        return MlflowClient(tracking_uri=place, registry_uri=place)


@contextmanager
def reaching(uri: str) -> Iterator[None]:
    """Whatever fails inside on the way to MLflow becomes one `TrackingAway`, in one sentence."""
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as away:
        raise TrackingAway(
            f"MLflow at {shown(uri)} could not be used ({_reason(away)}): check that it "
            "runs and that this machine reaches it; what is missing is written on the next try"
        ) from None


def shown(uri: str) -> str:
    """The URI without user name and password, fit for logs."""
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _reason(failure: Exception) -> str:
    """The kind of failure and its first line, short and without addresses that may hold secrets."""
    code = getattr(failure, "error_code", "")
    kind = str(code) if code else type(failure).__name__
    if str(failure).startswith("API request to"):
        return "no answer"
    lines = str(failure).strip().splitlines()
    first = lines[0] if lines else ""
    return kind if "@" in first or not first else f"{kind}: {first[:160]}"
