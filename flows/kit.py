"""The kit: one file with all that a hospital needs to join, made by the hub, of mode 600.

What the hospital decides itself, its key and its policy, is never in it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator

from fedcore.config.base import Section
from fedcore.config.party import CoordinatorRef, Role, require_plain_id
from fedcore.config.reading import parse_json, read_text
from fedcore.errors import InputError
from flows.secrets_file import write_private


class Kit(Section):
    """`serial` counts the kits of a party; only the newest one opens anything."""

    kit: Literal[1] = 1
    party_id: str
    role: Role
    serial: int = Field(ge=1)
    token: str = Field(repr=False, min_length=32)
    coordinator: CoordinatorRef
    access_key: str
    secret_key: str = Field(repr=False)
    prefect_auth: str = Field(repr=False)
    ca: str | None = Field(None, repr=False)

    @field_validator("party_id")
    @classmethod
    def _plain_id(cls, value: str) -> str:
        return str(require_plain_id(value))

    @property
    def secrets(self) -> dict[str, str]:
        """What goes into the hospital's `secrets.env`."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "PREFECT_API_AUTH_STRING": self.prefect_auth,
        }

    def party_file(self, data: str) -> str:
        """The text of the party file of who joins with this kit; `data` as it shall stand there."""
        content = {
            "local": {"role": self.role, "party_id": self.party_id, "data": data},
            "remote": [],
            "coordinator": self.coordinator.model_dump(mode="json"),
        }
        return json.dumps(content, indent=1) + "\n"


def write_kit(path: Path, kit: Kit) -> None:
    """Write the file, which only its owner may read."""
    write_private(path, kit.model_dump_json(indent=1) + "\n")


def load_kit(path: Path) -> Kit:
    """Read a kit; the sentence of an error shows nothing of what is in it."""
    text = read_text(path, "kit", InputError)
    content = parse_json(text, path, InputError)
    try:
        return Kit.model_validate(content)
    except ValidationError as invalid:
        place = ".".join(str(part) for part in invalid.errors(include_input=False)[0]["loc"])
        remedy = "take the file as it was sent, or ask the coordinator for a new one"
        raise InputError(
            f"{path}: this is no kit, or a damaged one ({place or 'its text'}): {remedy}"
        ) from None
