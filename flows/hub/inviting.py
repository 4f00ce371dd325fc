"""Kits for hospitals: who is invited gets one, who is revoked loses what it opened, at once."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedcore.audit.signing import SigningKey
from fedcore.config.party import CoordinatorRef, Role
from fedcore.config.reading import read_text
from fedcore.errors import FedcoreError, InputError, problem
from fedcore.exchange.s3_users import Credentials, create_party_user, remove_party_user
from fedcore.rounds.joining import mark_of
from flows.hub import deployments, pools, prefect_users, registry
from flows.hub.home import Hub
from flows.hub.registry import PartyEntry
from flows.kit import Kit, write_kit
from flows.secrets_file import read_secrets

GIVEN = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@dataclass(frozen=True)
class Wish:
    """What the command line asks for; `credentials`: a file of keys for an exchange not ours."""

    name: str
    role: Role | None = None
    out: Path | None = None
    credentials: Path | None = None

    @property
    def kit(self) -> Path:
        """Where the kit is to lie."""
        return self.out or Path(f"{self.name}.kit")


def invite(hub: Hub, wish: Wish) -> PartyEntry:
    """Make the party and its kit. One that was invited and has not joined yet gets a new kit.

    Raises `InputError` for a party that has joined, or for a second guest.
    """
    with registry.locked(hub):
        held = registry.find(hub, wish.name)
        if held is not None and held.status == "joined":
            remedy = f"it has joined: for a new kit run fedcore party rotate {wish.name}"
            raise InputError(problem("command line", "NAME", wish.name, remedy))
        _require_other_spelling(hub, wish.name)
        waiting = held if held is not None and held.status == "invited" else None
        role = wish.role or (waiting.role if waiting else _free_role(hub))
        _require_one_guest(hub, wish.name, role)
        serial = held.serial + 1 if held else 1
        return _hand_out(hub, wish, role, serial, None)


def rotate(hub: Hub, wish: Wish) -> PartyEntry:
    """A new kit for a party that is there; the keys and credentials of older ones are dead."""
    with registry.locked(hub):
        held = registry.entry(hub, wish.name)
        if held.status == "revoked":
            remedy = f"it is revoked: run fedcore party invite {wish.name}"
            raise InputError(problem("command line", "NAME", wish.name, remedy))
        if wish.credentials is None and not held.own_exchange:
            remedy = "its keys were given: name the new ones with --exchange-credentials FILE"
            raise InputError(problem("command line", "NAME", wish.name, remedy))
        return _hand_out(hub, wish, held.role, held.serial + 1, held)


def revoke(hub: Hub, name: str) -> PartyEntry:
    """Take the party's access away, at once, and its deployment; again is harmless.

    The entry says so first: whatever fails afterwards, no training starts with the party.
    """
    with registry.locked(hub):
        held = registry.entry(hub, name)
        gone = registry.save(hub, held.model_copy(update={"status": "revoked"}))
        _do_all(
            lambda: _close_exchange(hub, held),
            lambda: prefect_users.remove_user(hub, name),
            lambda: _offer(hub),
            lambda: pools.withdraw(hub.prefect_environ(), name),
        )
    return gone


def _close_exchange(hub: Hub, held: PartyEntry) -> None:
    if held.own_exchange:
        remove_party_user(hub.exchange.location, hub.exchange_environ(), held.party_id)


def _do_all(*steps: Callable[[], object]) -> None:
    """Take every step, also after one that failed; then raise the first failure."""
    failed: list[FedcoreError] = []
    for step in steps:
        try:
            step()
        except FedcoreError as fault:
            failed.append(fault)
    if failed:
        raise failed[0]


def _hand_out(
    hub: Hub, wish: Wish, role: Role, serial: int, known: PartyEntry | None
) -> PartyEntry:
    """Make user, credential, pool and deployment, then the kit, and the entry that stands for it.

    What fails on the way is made anew by the same command: each step replaces what it finds. Old
    credentials die only once it is clear that Prefect answers and that the kit has a place.
    """
    _require_place(wish.kit)
    pools.ensure_pools(hub.prefect_environ(), [wish.name])
    token = secrets.token_urlsafe(32)
    runs = known.runs if known else ()
    user = _exchange_user(hub, wish, runs)
    entry = PartyEntry(
        party_id=wish.name,
        role=role,
        serial=serial,
        mark=mark_of(token),
        status="invited" if known is None or known.public_key is None else known.status,
        own_exchange=wish.credentials is None,
        access_key=user.access_key,
        public_key=known.public_key if known else None,
        known_serial=known.known_serial if known else 0,
        runs=runs,
    )
    registry.save(hub, entry)
    auth = prefect_users.add_user(hub, wish.name)
    _offer(hub)
    write_kit(wish.kit, _kit(hub, entry, token, user, auth))
    return entry


def _require_place(kit: Path) -> None:
    if kit.is_dir() or not os.access(kit.parent, os.W_OK):
        remedy = "name a file in a folder that can be written"
        raise InputError(problem("command line", "--out", str(kit), remedy))


def _kit(hub: Hub, entry: PartyEntry, token: str, user: Credentials, auth: str) -> Kit:
    key = SigningKey.load(hub.coordinator_key_path)
    return Kit(
        party_id=entry.party_id,
        role=entry.role,
        serial=entry.serial,
        token=token,
        coordinator=CoordinatorRef(
            public_key=key.public, exchange=str(hub.exchange), prefect=hub.prefect_url
        ),
        access_key=user.access_key,
        secret_key=user.secret_key,
        prefect_auth=auth,
        ca=read_text(hub.ca, "certificate", InputError) if hub.ca else None,
    )


def _exchange_user(hub: Hub, wish: Wish, runs: Sequence[str]) -> Credentials:
    """A user of our own exchange, or the keys that the exchange's owner gave for the party."""
    if wish.credentials is None:
        place = hub.exchange
        environ = hub.exchange_environ()
        return create_party_user(place.location, environ, place.bucket, wish.name, runs)
    given = read_secrets(wish.credentials)
    missing = next((name for name in GIVEN if name not in given), None)
    if missing:
        remedy = "write AWS_ACCESS_KEY_ID=... and AWS_SECRET_ACCESS_KEY=..., a line each"
        raise InputError(f"{wish.credentials}: {missing} is missing: {remedy}")
    return Credentials(given[GIVEN[0]], given[GIVEN[1]])


def _offer(hub: Hub) -> None:
    """Write the deployments of the parties as they are now; what people have set stays."""
    try:
        known = pools.chosen(hub.prefect_environ(), deployments.CHOOSABLE)
    except FedcoreError:  # Prefect is away: as the file has it
        known = None
    deployments.write(hub.home, [one.party_id for one in registry.active(hub)], known or None)


def _free_role(hub: Hub) -> Role:
    """The first party is the guest."""
    guests = [one for one in registry.active(hub) if one.role == "guest"]
    return "host" if guests else "guest"


def _require_one_guest(hub: Hub, name: str, role: Role) -> None:
    others = [one for one in registry.active(hub) if one.party_id != name]
    guest = next((one.party_id for one in others if one.role == "guest"), None)
    if role == "guest" and guest is not None:
        remedy = f"{guest} is the guest already: invite {name} as host, or revoke {guest} first"
        raise InputError(problem("command line", "--role", role, remedy))


def _require_other_spelling(hub: Hub, name: str) -> None:
    """Two ids that some file systems take for one are none."""
    registry.require_name(name)
    for one in registry.entries(hub):
        if one.party_id != name and one.party_id.lower() == name.lower():
            remedy = f"{one.party_id} differs from it by capitals alone: use another name"
            raise InputError(problem("command line", "NAME", name, remedy))
