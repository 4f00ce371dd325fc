"""`party_config.json`: who I am, who the others are, where the exchange is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from fedcore.config.address import Address, parse_address
from fedcore.config.base import Section, misfit, validate
from fedcore.config.reading import parse_json, read_text
from fedcore.errors import PartyFileError

__all__ = [
    "Address",
    "CoordinatorRef",
    "PartyFile",
    "PartyRef",
    "Role",
    "load_party_file",
    "parse_address",
    "require_hex_key",
    "require_plain_id",
]

Role = Literal["guest", "host"]
# Names of files and of table rows beside the parties'.
RESERVED = frozenset({"coordinator", "federated", "average"})
WEB_ADDRESS = re.compile(r"https?://[^\s@/]+(/\S*)?")


def require_plain_id(value: object) -> object:
    """The id itself; `ValueError` unless keys, file names and log lines can carry it."""
    fits = isinstance(value, int | str) and not isinstance(value, bool)
    if not fits or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", str(value)):
        raise ValueError("use a number or up to 32 letters, digits, - and _")
    if str(value).lower() in RESERVED:
        raise ValueError("this name is reserved: give the party another")
    return value


def require_hex_key(value: str | None) -> str | None:
    """The key itself; `ValueError` unless it is an Ed25519 public key in hex, or nothing."""
    if value is not None and not re.fullmatch(r"[0-9a-f]{64}", value):
        raise ValueError("write the public key as 64 lower-case hex digits")
    return value


class PartyRef(Section):
    """One party as the party file names it."""

    role: Role = Field(description="guest starts the job, host answers")
    party_id: int | str = Field(description="the party's number or short name, as in FATE")
    address: str | None = Field(
        None, description="the exchange: IP:PORT or http(s)://host:port/bucket of S3, or a folder"
    )
    data: str | None = Field(None, description="this party's local data folder")
    pretrain: str | None = Field(
        None, description="the guest's folder of public images, for a task with pretrain"
    )
    public_key: str | None = Field(
        None, description="Ed25519 public key in hex, to pin the party's identity"
    )
    modality: str | None = Field(
        None, description="what this party's images are, where the task file names modalities"
    )

    @field_validator("party_id", mode="before")
    @classmethod
    def _plain_id(cls, value: object) -> object:
        return require_plain_id(value)

    @field_validator("address")
    @classmethod
    def _some_address(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("write an address or leave the field out")
        return value

    @field_validator("public_key")
    @classmethod
    def _hex_key(cls, value: str | None) -> str | None:
        return require_hex_key(value)

    @property
    def id(self) -> str:
        """The party id as text, the form used in keys and logs."""
        return str(self.party_id)

    @property
    def label(self) -> str:
        """Role and id, as shown to a person: `host-10000`."""
        return f"{self.role}-{self.party_id}"


class CoordinatorRef(Section):
    """The coordinator as a party knows it: its key, and where a joined party finds the rest."""

    public_key: str = Field(
        description="Ed25519 public key of the coordinator in hex: no other one is obeyed"
    )
    exchange: str | None = Field(
        None, description="the exchange's address, where the party has joined a coordinator"
    )
    prefect: str | None = Field(
        None, description="the URL of the coordinator's Prefect API, where the party has joined"
    )

    @field_validator("public_key")
    @classmethod
    def _hex_key(cls, value: str) -> str | None:
        return require_hex_key(value)

    @model_validator(mode="after")
    def _both_places(self) -> Self:
        if self.exchange is not None and self.prefect is None:
            raise misfit("prefect", self.prefect, "write it beside the exchange's")
        if self.prefect is not None and not (self.exchange or "").strip():
            raise misfit("exchange", self.exchange, "write it beside Prefect's")
        if self.prefect is not None and not re.fullmatch(r"https?://[^\s@/]+(/\S*)?", self.prefect):
            shown = re.sub(r"//.*@", "//...@", self.prefect)
            raise misfit(
                "prefect", shown, "write it as http(s)://host:port/api, without a password"
            )
        return self


class PartyFile(Section):
    """The whole party file. `remote` may be one party or a list.

    A party that joined a coordinator needs no `remote`: each training's agreement names the others.
    """

    local: PartyRef = Field(description="who I am")
    remote: tuple[PartyRef, ...] = Field((), description="the other parties")
    coordinator: CoordinatorRef | None = Field(None, description="whom to obey")

    @field_validator("remote", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [value] if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _one_guest(self) -> Self:
        ids = [party.id for party in self.parties]
        doubled = sorted({one for one in ids if ids.count(one) > 1})
        if doubled:
            raise misfit("party_id", doubled[0], "it stands twice: give every party its own")
        if self.joined and not self.remote:
            return self
        if not self.remote:
            raise misfit("remote", [], "write at least 1")
        guests = [party.id for party in self.parties if party.role == "guest"]
        if len(guests) != 1:
            roles = [party.role for party in self.parties]
            raise misfit("role", roles, "make exactly one party the guest, who starts the job")
        return self

    @property
    def joined(self) -> bool:
        """Whether the party has joined a coordinator, which names the other parties."""
        return self.coordinator is not None and self.coordinator.exchange is not None

    @property
    def parties(self) -> tuple[PartyRef, ...]:
        """All parties, the local one first."""
        return (self.local, *self.remote)

    @property
    def guest(self) -> PartyRef:
        """The one party that starts the job."""
        return next(party for party in self.parties if party.role == "guest")

    def address(self) -> str | None:
        """The exchange's address as written: the coordinator's, the local one, the first remote."""
        if self.coordinator is not None and self.coordinator.exchange is not None:
            return self.coordinator.exchange
        return next((party.address for party in self.parties if party.address), None)


def load_party_file(path: Path) -> PartyFile:
    """Read and check a party file; `PartyFileError` names file, field, value and remedy."""
    text = read_text(path, "party file", PartyFileError)
    content = parse_json(text, path, PartyFileError)
    return validate(PartyFile, content, path, PartyFileError)
