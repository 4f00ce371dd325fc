"""`party_config.json`: who I am, who the others are, where the exchange is."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from fedcore.config.base import Section, validate
from fedcore.config.task import read_text
from fedcore.errors import PartyFileError

Role = Literal["guest", "host"]
DEFAULT_BUCKET = "fedcore"


@dataclass(frozen=True)
class Address:
    """Where the exchange is: a local folder, or an S3 endpoint with a bucket."""

    kind: Literal["folder", "s3"]
    location: str
    bucket: str = DEFAULT_BUCKET

    def __str__(self) -> str:
        """As a person would write it."""
        return self.location if self.kind == "folder" else f"{self.location}/{self.bucket}"


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

    @field_validator("party_id")
    @classmethod
    def _plain_id(cls, value: int | str) -> int | str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", str(value)):
            raise ValueError("use a number or up to 32 letters, digits, - and _")
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
            raise ValueError(f"party_id {doubled[0]} stands twice; give every party its own")
        guests = [party.id for party in self.parties if party.role == "guest"]
        if len(guests) != 1:
            raise ValueError(
                f"{len(guests)} parties have the role guest; exactly one starts the job"
            )
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
    try:
        content = json.loads(text)
    except json.JSONDecodeError as broken:
        place = f"line {broken.lineno}, column {broken.colno}"
        raise PartyFileError(f"{path}: {place} is no valid JSON: correct it") from None
    return validate(PartyFile, content, path, PartyFileError)


def parse_address(text: str, path: Path | str) -> Address:
    """Tell a folder from an S3 endpoint: `IP:PORT`, `http(s)://host[:port][/bucket]`, or a path."""
    if text.startswith(("http://", "https://")):
        parts = urlsplit(text)
        bucket = parts.path.strip("/") or DEFAULT_BUCKET
        return Address("s3", f"{parts.scheme}://{parts.netloc}", bucket)
    if re.fullmatch(r"[A-Za-z0-9.-]+:\d{1,5}", text):
        return Address("s3", f"http://{text}")
    if re.fullmatch(r"[A-Z]+:[A-Z]+", text):
        raise PartyFileError(
            f"{path}: remote.address is {text!r}: this is the placeholder; write the exchange's "
            "host:port (S3) or a folder that both parties see"
        )
    return Address("folder", text.removeprefix("file://"))
