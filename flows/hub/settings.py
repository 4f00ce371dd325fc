"""What a hub is: the settings in `hub.json`, without secrets."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from fedcore.config.address import is_loopback
from fedcore.config.base import Section, misfit
from fedcore.errors import InputError, problem

BUCKET = "fedcore"
MLFLOW_BUCKET = "fedcore-mlflow"
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


class HubSettings(Section):
    """Where the services listen and how they are reached; kept from the first start on."""

    host: str = Field("127.0.0.1", description="the address that the services listen on")
    ports: dict[str, int] = Field(description="the port of each service")
    cert: str | None = Field(None, description="the services' certificate chain, a PEM file")
    key: str | None = Field(None, description="the certificate's private key, a PEM file")
    ca: str | None = Field(None, description="who signed the certificate, if nobody public did")
    allow_plain_http: bool = Field(False, description="speak http to other machines")
    prefect_days: int = Field(
        90, ge=1, le=36_500, description="for how long Prefect shows flow runs that have ended"
    )

    @field_validator("host")
    @classmethod
    def _reachable(cls, host: str) -> str:
        """One name for both: where to listen and where to be found."""
        if not NAME.fullmatch(host) or _is_everywhere(host):
            raise ValueError("write the name or IPv4 address by which others reach this machine")
        return host

    @model_validator(mode="after")
    def _certificate_and_key(self) -> Self:
        """One is nothing without the other, and neither a stranger's hub without them."""
        if bool(self.cert) != bool(self.key):
            field, value = ("cert", self.cert) if self.key else ("key", self.key)
            raise misfit(field, value, "give both --cert and --key, or neither")
        if self.ca and not self.cert:
            raise misfit("ca", self.ca, "it belongs to a certificate: give --cert and --key, too")
        if not (self.cert or self.allow_plain_http or is_loopback(self.host)):
            raise misfit("host", self.host, "give --cert and --key, or allow --allow-plain-http")
        return self

    @property
    def scheme(self) -> str:
        """`https` with a certificate, else `http`."""
        return "https" if self.cert else "http"

    @property
    def certificates(self) -> tuple[Path, ...]:
        """What the services read of it when they start, and not again."""
        return tuple(Path(one) for one in (self.cert, self.key) if one)

    def url(self, service: str) -> str:
        """Where a service is reached."""
        return f"{self.scheme}://{self.host}:{self.ports[service]}"


def require_files(settings: HubSettings) -> None:
    """Raise `InputError` unless certificate, key and CA can be read."""
    for field in ("cert", "key", "ca"):
        named = getattr(settings, field)
        if named and not Path(named).is_file():
            raise InputError(problem(f"--{field}", "file", named, "name a PEM file that exists"))


def _is_everywhere(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
