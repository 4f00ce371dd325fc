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

__all__ = ["Address", "PartyFile", "PartyRef", "Role", "load_party_file", "parse_address"]

Role = Literal["guest", "host"]
# Names of files and of table rows beside the parties'.
RESERVED = frozenset({"coordinator", "federated"})


class PartyRef(Section):
    """One party as the party file names it."""

    role: Role = Field(description="guest starts the job, host answers")
    party_id: int | str = Field(description="the party's number or short name, as in FATE")
    address: str | None = Field(
        None, description="the exchange: IP:PORT or http(s)://host:port/bucket of S3, or a folder"
    )
    data: str | None = Field(None, description="this party's local data folder")
    public_key: str | None = Field(
        None, description="Ed25519 public key in hex, to pin the party's identity"
    )

    @field_validator("party_id", mode="before")
    @classmethod
    def _plain_id(cls, value: object) -> object:
        fits = isinstance(value, int | str) and not isinstance(value, bool)
        if not fits or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", str(value)):
            raise ValueError("use a number or up to 32 letters, digits, - and _")
        if str(value).lower() in RESERVED:
            raise ValueError("this name is reserved: give the party another")
        return value

    @field_validator("address")
    @classmethod
    def _some_address(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("write an address or leave the field out")
        return value

    @field_validator("public_key")
    @classmethod
    def _hex_key(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[0-9a-f]{64}", value):
            raise ValueError("write the public key as 64 lower-case hex digits")
        return value

    @property
    def id(self) -> str:
        """The party id as text, the form used in keys and logs."""
        return str(self.party_id)

    @property
    def label(self) -> str:
        """Role and id, as shown to a person: `host-10000`."""
        return f"{self.role}-{self.party_id}"


class PartyFile(Section):
    """The whole party file. `remote` may be one party or a list."""

    local: PartyRef = Field(description="who I am")
    remote: tuple[PartyRef, ...] = Field(min_length=1, description="the other parties")

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
        guests = [party.id for party in self.parties if party.role == "guest"]
        if len(guests) != 1:
            roles = [party.role for party in self.parties]
            raise misfit("role", roles, "make exactly one party the guest, who starts the job")
        return self

    @property
    def parties(self) -> tuple[PartyRef, ...]:
        """All parties, the local one first."""
        return (self.local, *self.remote)

    @property
    def guest(self) -> PartyRef:
        """The one party that starts the job."""
        return next(party for party in self.parties if party.role == "guest")

    def address(self) -> str | None:
        """The exchange's address as written: the local entry's, else the first remote one."""
        return next((party.address for party in self.parties if party.address), None)


def load_party_file(path: Path) -> PartyFile:
    """Read and check a party file; `PartyFileError` names file, field, value and remedy."""
    text = read_text(path, "party file", PartyFileError)
    content = parse_json(text, path, PartyFileError)
    return validate(PartyFile, content, path, PartyFileError)
