"""The environment of all tests: a home of their own, nothing of the machine's settings."""

from __future__ import annotations

from pathlib import Path

AMBIENT = ("AWS_PROFILE", "PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_PROFILE")


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
