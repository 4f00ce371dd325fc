"""The hub's parties: one small file each, without secrets, and the keys by which they joined."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from fedcore.audit import durable
from fedcore.config.base import Section, validate
from fedcore.config.party import Role, require_hex_key, require_plain_id
from fedcore.errors import InputError, Refused, nearest, problem
from fedcore.exchange.opening import open_store
from fedcore.exchange.store import ObjectStore
from fedcore.rounds.joining import read_identity
from flows.hub.home import Hub
from flows.hub.private_files import SECRET, read_json, write_json

Status = Literal["invited", "joined", "revoked"]


class PartyEntry(Section):
    """What the hub knows of a party. `known_serial` is the kit by which the key was last said.

    `runs` are the trainings that its user at the exchange may read, the newest last.
    """

    party_id: str
    role: Role
    serial: int = Field(ge=1)
    mark: str = Field(pattern="[0-9a-f]{32}")
    status: Status = "invited"
    own_exchange: bool = True
    access_key: str
    public_key: str | None = None
    known_serial: int = 0
    runs: tuple[str, ...] = ()

    @field_validator("party_id")
    @classmethod
    def _plain_id(cls, value: str) -> str:
        return str(require_plain_id(value))

    @field_validator("public_key")
    @classmethod
    def _hex_key(cls, value: str | None) -> str | None:
        return require_hex_key(value)


def require_name(name: str) -> str:
    """The name itself, or `InputError` if it can be no party's id."""
    try:
        return str(require_plain_id(name))
    except ValueError as wrong:
        raise InputError(problem("command line", "NAME", name, str(wrong))) from None


@contextlib.contextmanager
def locked(hub: Hub) -> Iterator[None]:
    """Hold the registry: of two commands at once, the second waits."""
    (hub.home / "parties").mkdir(exist_ok=True)
    with durable.locked(hub.home / "parties" / ".lock"):
        yield


def entries(hub: Hub) -> list[PartyEntry]:
    """All parties that were ever invited, by id."""
    return [_load(path) for path in sorted((hub.home / "parties").glob("*.json"))]


def find(hub: Hub, name: str) -> PartyEntry | None:
    """The party of that id; `None` if it was never invited."""
    path = _path(hub, require_name(name))
    return _load(path) if path.exists() else None


def entry(hub: Hub, name: str) -> PartyEntry:
    """The party of that id; `InputError` with the known ones if it was never invited."""
    found = find(hub, name)
    if found is None:
        known = nearest(name, [one.party_id for one in entries(hub)]) or "none"
        remedy = f"name an invited party; {known}"
        raise InputError(problem("command line", "NAME", name, remedy))
    return found


def save(hub: Hub, one: PartyEntry) -> PartyEntry:
    """Keep the entry; the entry itself."""
    write_json(_path(hub, one.party_id), one.model_dump(mode="json"), SECRET)
    return one


def active(hub: Hub) -> list[PartyEntry]:
    """The parties that were invited and not revoked, by id."""
    return [one for one in entries(hub) if one.status != "revoked"]


def joined(hub: Hub) -> list[PartyEntry]:
    """The parties to train with: their keys are taken over from the exchange, where they say them.

    A party whose place there holds what is not right has not joined: see `survey`. Raises
    `ExchangeError` when the exchange cannot be asked about a party that is still to come.
    """
    return [one for one in survey(hub)[0] if one.status == "joined"]


def survey(hub: Hub) -> tuple[list[PartyEntry], dict[str, str]]:
    """All active parties, keys taken over; and by id why a key that was said was not taken."""
    reasons: dict[str, str] = {}
    found: list[PartyEntry] = []
    with locked(hub):
        store = open_store(hub.exchange, hub.exchange_environ())
        for one in active(hub):
            try:
                found.append(_taken_over(hub, store, one))
            except Refused as refused:
                reasons[one.party_id] = str(refused)
                found.append(one)
    return found, reasons


def _taken_over(hub: Hub, store: ObjectStore, one: PartyEntry) -> PartyEntry:
    """The entry with the key that its newest kit brought; a key once said by a kit is final."""
    if one.known_serial == one.serial:
        return one
    said = read_identity(store, one.party_id, one.serial, one.mark)
    if said is None:
        return one
    news = {"public_key": said.public_key, "known_serial": one.serial, "status": "joined"}
    return save(hub, one.model_copy(update=news))


def _path(hub: Hub, name: str) -> Path:
    return hub.home / "parties" / f"{name}.json"


def _load(path: Path) -> PartyEntry:
    remedy = "restore it from a copy, or remove it and invite the party anew"
    return validate(PartyEntry, read_json(path, remedy), path, InputError)
