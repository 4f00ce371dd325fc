"""The hub's folder: what lies where, and what a process needs in order to reach its services."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from fedcore.audit.signing import SigningKey
from fedcore.config.address import PLAIN_HTTP, Address
from fedcore.config.base import validate
from fedcore.errors import InputError
from flows.hub.ports import choose_ports
from flows.hub.private_files import PLAIN, private_folder, read_json, write_json
from flows.hub.secret_store import SecretStore
from flows.hub.settings import BUCKET, HubSettings, require_files
from flows.secrets_file import write_secrets

FILE = "hub.json"
FOLDERS = (
    "parties",
    "deployments",
    "exchange",
    "prefect",
    "mlflow",
    "logs",
    "run",
    "runs",
    "worker",
)
START = "run fedcore up"


@dataclass(frozen=True)
class Hub:
    """One coordinator's side on this machine; `home` is absolute."""

    home: Path
    settings: HubSettings

    @classmethod
    def create(cls, home: Path, ports: dict[str, int] | None = None, **options: Any) -> Self:
        """The hub in `home`, made first if there is none; `options` are fields of `HubSettings`.

        Of a hub that is there, secrets and ports stay, and the options that are given change.
        Raises `InputError` for options that do not fit together.
        """
        path = home.expanduser().absolute() / FILE
        held = read_json(path, START) if path.exists() else {}
        chosen = choose_ports({**held.get("ports", {}), **(ports or {})})
        content = {**held, **_absolute(options), "ports": chosen}
        hub = cls(path.parent, validate(HubSettings, content, path, InputError))
        require_files(hub.settings)
        hub._settle()
        return hub

    @classmethod
    def load(cls, home: Path) -> Self:
        """The hub in `home`; `InputError` where there is none."""
        path = home.expanduser().absolute() / FILE
        if not path.exists():
            raise InputError(f"{home}: there is no hub in this folder: {START}")
        content = read_json(path, "restore it from a copy")
        return cls(path.parent, validate(HubSettings, content, path, InputError))

    def _settle(self) -> None:
        """Make the folders, the coordinator's key, the secrets, and at last the file."""
        self.home.mkdir(parents=True, exist_ok=True)
        for name in FOLDERS:
            (self.home / name).mkdir(exist_ok=True)
        for name in ("exchange", "prefect", "mlflow", "logs", "run", "worker"):
            private_folder(self.home / name)
        SigningKey.load_or_create(self.coordinator_key_path, os.urandom)
        self.secrets.make()
        write_json(self.home / FILE, self.settings.model_dump(exclude_none=True), PLAIN)
        write_secrets(self.environ_path, self.prefect_environ() | self.mlflow_environ())

    @property
    def environ_path(self) -> Path:
        """The variables with which a person's own shell speaks to Prefect and MLflow."""
        return self.home / "secrets" / "coordinator.env"

    @property
    def secrets(self) -> SecretStore:
        """What nobody else may read."""
        return SecretStore(self.home / "secrets")

    @property
    def coordinator_key_path(self) -> Path:
        """The coordinator's signing key."""
        return self.home / "keys" / "coordinator.key"

    @property
    def exchange(self) -> Address:
        """Where the parties meet."""
        return Address("s3", self.settings.url("s3"), BUCKET)

    @property
    def prefect_url(self) -> str:
        """Prefect's API."""
        return f"{self.settings.url('prefect')}/api"

    @property
    def mlflow_url(self) -> str:
        """MLflow's tracking server and page."""
        return self.settings.url("mlflow")

    @property
    def ca(self) -> Path | None:
        """Who signed the services' certificate, unless somebody whom everybody knows."""
        return Path(self.settings.ca) if self.settings.ca else None

    def exchange_environ(self) -> dict[str, str]:
        """Variables with which a process may do everything in the exchange."""
        pair = self.secrets.pair("exchange")
        keys = {"AWS_ACCESS_KEY_ID": pair.name, "AWS_SECRET_ACCESS_KEY": pair.secret}
        return keys | self._trust("AWS_CA_BUNDLE") | self._plain()

    def prefect_environ(self) -> dict[str, str]:
        """Variables with which a process speaks to Prefect as the coordinator."""
        auth = self.secrets.pair("prefect").auth_string
        reach = {"PREFECT_API_URL": self.prefect_url, "PREFECT_API_AUTH_STRING": auth}
        return reach | self._trust("PREFECT_API_SSL_CERT_FILE") | self._plain()

    def mlflow_environ(self) -> dict[str, str]:
        """Variables with which a process speaks to MLflow as the coordinator."""
        pair = self.secrets.pair("mlflow")
        reach = {
            "MLFLOW_TRACKING_URI": self.mlflow_url,
            "MLFLOW_TRACKING_USERNAME": pair.name,
            "MLFLOW_TRACKING_PASSWORD": pair.secret,
            # Artifacts pass through MLflow: its client trusts no authority of ours at the exchange.
            "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
            "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
        }
        return reach | self._trust("MLFLOW_TRACKING_SERVER_CERT_PATH") | self._plain()

    def _plain(self) -> dict[str, str]:
        """What was allowed to the hub is allowed to whoever speaks for it."""
        return {PLAIN_HTTP: "1"} if self.settings.allow_plain_http else {}

    def _trust(self, *names: str) -> dict[str, str]:
        return dict.fromkeys(names, str(self.ca)) if self.ca else {}


def _absolute(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, files by a name that holds from any folder."""
    given = {name: value for name, value in options.items() if value is not None}
    files = given.keys() & {"cert", "key", "ca"}
    return given | {name: str(Path(given[name]).expanduser().absolute()) for name in files}
