"""`fedcore party join`: from a kit to a party's home. The key pair is made here and stays here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from fedcore.audit.durable import replace_with
from fedcore.audit.signing import SigningKey
from fedcore.config.base import Section, validate
from fedcore.config.party import load_party_file
from fedcore.config.policy import TEMPLATE
from fedcore.config.reading import parse_json, read_text
from fedcore.errors import FedcoreError, InputError, Unreachable, problem
from fedcore.exchange.opening import open_store
from fedcore.rounds.joining import mark_of, publish_identity
from flows.kit import Kit, load_kit
from flows.party import service_files
from flows.party.home import PARTY_FILE, PartyHome
from flows.secrets_file import read_secrets, write_private, write_secrets

FOLDERS = ("keys", "approvals", "worker", "runs")


class Joined(Section):
    """What the home remembers of its newest kit; `joined.json`, without secrets."""

    serial: int = Field(ge=1)
    mark: str


@dataclass(frozen=True)
class Order:
    """What the command line asks for."""

    kit: Path
    home: Path
    data: Path | None = None
    new_key: bool = False


def join(order: Order, environ: Mapping[str, str] = os.environ) -> PartyHome:
    """Make or renew the home and tell the coordinator the public key; again is harmless.

    Raises `InputError` for a kit that does not fit the home. When the exchange cannot be reached,
    everything is in place but the last step, and the sentence says to run the command again.
    """
    kit = load_kit(order.kit)
    home = order.home.expanduser().absolute()
    before = _remembered(home)
    _require_fitting(home, kit, before, order)
    _furnish(home, kit, order)
    place = PartyHome.load(home)
    if order.new_key:
        _put_key_aside(place, kit)
    key = SigningKey.load_or_create(place.key_path, os.urandom)
    write_private(home / "joined.json", _joined(kit).model_dump_json() + "\n")
    _tell(place, kit, key, environ)
    return place


def _joined(kit: Kit) -> Joined:
    return Joined(serial=kit.serial, mark=mark_of(kit.token))


def _remembered(home: Path) -> Joined | None:
    path = home / "joined.json"
    if not path.exists():
        return None
    content = parse_json(read_text(path, "file", InputError), path, InputError)
    return validate(Joined, content, path, InputError)


def _require_fitting(home: Path, kit: Kit, before: Joined | None, order: Order) -> None:
    """A home belongs to one party of one coordinator, and kits only get newer."""
    if (home / PARTY_FILE).exists():
        held = load_party_file(home / PARTY_FILE)
        if held.local.id != kit.party_id:
            remedy = f"this is the home of {held.local.id}: choose another folder with --home"
            raise InputError(problem(order.kit, "party_id", kit.party_id, remedy))
        known = held.coordinator.public_key if held.coordinator else None
        if known not in (None, kit.coordinator.public_key):
            remedy = "the home obeys another coordinator: choose another folder with --home"
            raise InputError(
                problem(order.kit, "coordinator.public_key", kit.coordinator.public_key, remedy)
            )
    if before is None:
        return
    if kit.serial < before.serial:
        remedy = f"this home joined with kit {before.serial}: take that one, or ask for a new one"
        raise InputError(problem(order.kit, "serial", kit.serial, remedy))
    if order.new_key and kit.serial == before.serial:
        remedy = "this kit is in use: leave it out, or ask the coordinator for a new kit"
        raise InputError(problem("command line", "--new-key", True, remedy))


def _furnish(home: Path, kit: Kit, order: Order) -> None:
    """Write what lies in a home; what the hospital may have changed is left as it is."""
    for name in FOLDERS:
        _make_folder(home / name)
    own = read_secrets(home / "secrets.env") if (home / "secrets.env").exists() else {}
    write_secrets(home / "secrets.env", own | kit.secrets)
    if kit.ca is None:
        (home / "ca.pem").unlink(missing_ok=True)
    else:
        replace_with(home / "ca.pem", [kit.ca.encode()])
    replace_with(home / PARTY_FILE, [kit.party_file(_data(home, order)).encode()])
    files = {"policy.yaml": TEMPLATE, **service_files.texts(home, kit.party_id)}
    for name, text in files.items():
        if not (home / name).exists():
            replace_with(home / name, [text.encode()])


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as broken:
        remedy = "choose a folder that can be written with --home"
        raise InputError(f"{path}: cannot be made ({broken.strerror}): {remedy}") from None


def _data(home: Path, order: Order) -> str:
    """The data folder as the party file names it: the given one, else the one it names already."""
    if order.data is not None:
        folder = order.data.expanduser().absolute()
        if not folder.is_dir():
            raise InputError(problem("command line", "--data", str(folder), "name a folder"))
        return str(folder)
    if (home / PARTY_FILE).exists():
        return load_party_file(home / PARTY_FILE).local.data or "data"
    return "data"


def _put_key_aside(place: PartyHome, kit: Kit) -> None:
    """Keep the old key and its ledger: it signed the ledgers and messages of the past."""
    if place.key_path.exists():
        aside = f".before-kit-{kit.serial}"
        place.key_path.rename(place.key_path.with_suffix(f"{aside}.key"))
        ledger = place.membership_path
        if ledger.exists():
            ledger.rename(ledger.with_suffix(f"{aside}.jsonl"))


def _tell(place: PartyHome, kit: Kit, key: SigningKey, environ: Mapping[str, str]) -> None:
    again = "all is in place here but this: run the same command again"
    try:
        store = open_store(place.exchange, {**environ, **place.environ()})
        ledger = place.membership(key)
        publish_identity(store, ledger, kit.party_id, (kit.serial, mark_of(kit.token)), key)
    except Unreachable as away:
        raise FedcoreError(f"{away}; {again}") from None
