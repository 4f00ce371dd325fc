"""How a party that joins tells the coordinator its public key: once per kit, signed by the key.

The kit holds a token that only the hub's engineer and the hospital's have seen. The object's name
is made from it, so nobody else can claim the place, not even with older credentials of the party.
"""

from __future__ import annotations

import hashlib

from fedcore.audit.ledger import Ledger
from fedcore.audit.signing import SigningKey
from fedcore.config.base import Section
from fedcore.errors import Conflict, Refused, RunMismatch
from fedcore.exchange import keys
from fedcore.exchange.store import ObjectStore
from fedcore.rounds import departure, sealed


class Identity(Section):
    """A party's public key, as it says itself."""

    party: str
    serial: int
    public_key: str


def mark_of(token: str) -> str:
    """The part of the token that may be known: 32 hex digits of its SHA-256."""
    return hashlib.sha256(token.encode()).hexdigest()[:32]


def publish_identity(
    store: ObjectStore, ledger: Ledger, party: str, kit: tuple[int, str], key: SigningKey
) -> Identity:
    """Say who the party is; the same again is quiet. `RunMismatch` if another key said it.

    `kit` is its serial number and mark; the party's `ledger` notes it before it leaves.
    """
    serial, mark = kit
    message = Identity(party=party, serial=serial, public_key=key.public)
    place = keys.identity(party, serial, mark)
    try:
        departure.send(store, ledger, key, "identity", place, message)
    except Conflict:
        raise RunMismatch(
            f"party {party}: somebody joined with this kit and another key: use the folder that "
            "holds that key; if it was none of you, tell the coordinator at once and ask for a "
            f"new kit (fedcore party rotate {party})"
        ) from None
    return message


def read_identity(store: ObjectStore, party: str, serial: int, mark: str) -> Identity | None:
    """Who the party says it is; `None` while it has not joined, `Refused` for what is not right."""
    key = keys.identity(party, serial, mark)
    found = sealed.read_if_there(store, key, Identity, None)
    if found is None:
        return None
    if sealed.writer_of(store, key) != found.public_key:
        raise Refused("wrong_signer", f"{key} is not signed by the key that it names")
    if (found.party, found.serial) != (party, serial):
        raise Refused("wrong_place", f"{key} speaks of {found.party}, kit {found.serial}")
    return found


def fingerprint(public_key: str) -> str:
    """A public key as two people compare it by telephone: eight groups of four."""
    digest = hashlib.sha256(bytes.fromhex(public_key)).hexdigest()[:32]
    return " ".join(digest[place : place + 4] for place in range(0, 32, 4))
