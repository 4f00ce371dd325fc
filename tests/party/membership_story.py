"""A hub whose exchange is the tests' SeaweedFS, and kits and homes made with it."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from fedcore.audit.signing import SigningKey
from fedcore.config.party import CoordinatorRef
from fedcore.exchange.opening import open_store
from fedcore.exchange.s3_users import create_party_user
from fedcore.rounds.joining import mark_of
from flows.hub import registry
from flows.hub.home import Hub
from flows.hub.registry import PartyEntry
from flows.kit import Kit, write_kit
from flows.party.home import PartyHome
from flows.party.joining import Order, join


def hub_at(home: Path, seaweedfs, prefect_api: str = "http://127.0.0.1:9/api") -> Hub:
    """A hub with the real servers of the test session behind it."""
    places = {"s3": seaweedfs.endpoint, "prefect": prefect_api}
    ports = {name: urlsplit(url).port for name, url in places.items()}
    folder = home / "secrets"
    folder.mkdir(parents=True)
    held = {"exchange": [seaweedfs.access_key, seaweedfs.secret_key]}
    (folder / "hub-secrets.json").write_text(json.dumps(held))
    hub = Hub.create(home, ports)
    open_store(hub.exchange, hub.exchange_environ()).prepare()
    return hub


def kit_of(hub: Hub, name: str = "munich", serial: int = 1, **changes: object) -> Kit:
    """A kit with a real user of the exchange, entered in the registry; nothing of Prefect."""
    place, token = hub.exchange, secrets.token_urlsafe(32)
    user = create_party_user(place.location, hub.exchange_environ(), place.bucket, name)
    held = registry.find(hub, name)
    entry = PartyEntry(
        party_id=name,
        role="guest",
        serial=serial,
        mark=mark_of(token),
        access_key=user.access_key,
        status="joined" if held and held.public_key else "invited",
        public_key=held.public_key if held else None,
        known_serial=held.known_serial if held else 0,
    )
    registry.save(hub, entry)
    kit = Kit(
        party_id=name,
        role="guest",
        serial=serial,
        token=token,
        coordinator=CoordinatorRef(
            public_key=SigningKey.load_or_create(hub.coordinator_key_path, os.urandom).public,
            exchange=str(place),
            prefect="http://127.0.0.1:9/api",
        ),
        access_key=user.access_key,
        secret_key=user.secret_key,
        prefect_auth=f"{name}:{secrets.token_urlsafe(20)}",
    )
    return kit.model_copy(update=changes)


def joined_with(kit: Kit, home: Path, data: Path | None = None, new_key: bool = False) -> PartyHome:
    """The home that `fedcore party join` makes of the kit."""
    path = home.parent / f"{kit.party_id}-{kit.serial}.kit"
    write_kit(path, kit)
    return join(Order(path, home, data, new_key))


def secrets_of(kit: Kit) -> list[str]:
    """What nobody may ever be shown of a kit."""
    return [kit.secret_key, kit.prefect_auth.partition(":")[2], kit.token]
