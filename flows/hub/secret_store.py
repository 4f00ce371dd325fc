"""The hub's secrets: made once, kept in files of mode 600, never shown."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.hub.private_files import private_folder, read_json, write_json

FILE = "hub-secrets.json"
COORDINATOR = "coordinator"
REMEDY = "restore the file from a copy, or run fedcore up in a new folder"


@dataclass(frozen=True)
class Pair:
    """A name and its secret."""

    name: str
    secret: str

    def __repr__(self) -> str:
        """The name alone: a secret enters no log."""
        return f"Pair({self.name!r})"

    @property
    def auth_string(self) -> str:
        """As Prefect's PREFECT_API_AUTH_STRING wants it."""
        return f"{self.name}:{self.secret}"


class SecretStore:
    """The secrets in a folder; read again at each question."""

    def __init__(self, folder: Path) -> None:
        """Look at `folder`; nothing is read or made yet."""
        self.folder = folder

    @property
    def path(self) -> Path:
        """Where they lie."""
        return self.folder / FILE

    def make(self) -> None:
        """Make what is not there yet; what is there stays."""
        private_folder(self.folder)
        held = self._read() if self.path.exists() else {}
        wanted = {name: value for name, value in _fresh().items() if name not in held}
        if wanted:
            write_json(self.path, {**held, **wanted})

    def pair(self, name: str) -> Pair:
        """One of `exchange`, `artifacts`, `prefect`, `mlflow`."""
        user, secret = self._read()[name]
        return Pair(user, secret)

    def token(self, name: str) -> str:
        """One of `jwt`, `flask`."""
        return str(self._read()[name])

    @property
    def database(self) -> str | None:
        """The URL of PostgreSQL with its password, if somebody gave one."""
        url = self._read().get("database")
        return str(url) if url else None

    def keep_database(self, url: str) -> None:
        """Remember the URL for all later starts."""
        write_json(self.path, {**self._read(), "database": url})

    def _read(self) -> dict[str, Any]:
        return read_json(self.path, REMEDY)


def _fresh() -> dict[str, Any]:
    return {
        "exchange": ["hub" + secrets.token_hex(8), secrets.token_urlsafe(30)],
        "artifacts": ["mlflow" + secrets.token_hex(8), secrets.token_urlsafe(30)],
        "prefect": [COORDINATOR, secrets.token_urlsafe(30)],
        "mlflow": [COORDINATOR, secrets.token_urlsafe(30)],
        "jwt": secrets.token_hex(32),
        "flask": secrets.token_hex(32),
    }
