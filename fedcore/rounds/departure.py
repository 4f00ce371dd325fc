"""Departure: nothing leaves a party through the exchange that its ledger has not noted before."""

from __future__ import annotations

from fedcore.audit.entry import Entry
from fedcore.audit.ledger import Ledger
from fedcore.audit.signing import SigningKey
from fedcore.config.base import Section
from fedcore.exchange.store import ObjectStore
from fedcore.rounds import sealed
from fedcore.rounds.messages import LedgerHead, ObjectRef

LEFT = "left"


def note_departure(ledger: Ledger, kind: str, ref: ObjectRef) -> Entry:
    """Write down what is about to leave: object, size, hash, kind; repeated, the same entry."""
    subject = {"object": kind, "key": ref.key, "size": ref.size, "sha256": ref.sha256}
    return ledger.append_once(LEFT, subject)


def send(
    store: ObjectStore, ledger: Ledger, signer: SigningKey, kind: str, key: str, message: Section
) -> None:
    """Let a signed message leave: into the ledger first, then the exchange."""
    body = sealed.seal_message(message, signer)
    note_departure(ledger, kind, sealed.reference(key, body))
    store.put_once(key, body)


def head_at(entry: Entry) -> LedgerHead:
    """The head that a ledger had with this entry, as a message carries it."""
    return LedgerHead(index=entry.head.index, hash=entry.head.hash)
