"""A ledger against what stands in the exchange: heads in signed records, and objects that left.

A ledger that verifies by itself may still have lost its tail; what others hold of it tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fedcore.audit.entry import Entry, Head
from fedcore.audit.ledger import verify
from fedcore.errors import ExchangeError, FedcoreError, LedgerBroken, Refused
from fedcore.exchange import keys
from fedcore.exchange.opening import open_store
from fedcore.exchange.store import ObjectStore
from fedcore.rounds import sealed
from fedcore.rounds.coordinator.ledger_parts import lines_of, published
from fedcore.rounds.departure import LEFT
from fedcore.rounds.messages import End, LedgerHead, Record
from flows.ledger_place import RunFolder
from tasks.seat import COORDINATOR


@dataclass(frozen=True)
class Known:
    """What the exchange tells of a run: its signed heads in order, or why it tells nothing."""

    store: ObjectStore | None = None
    heads: tuple[tuple[str, dict[str, LedgerHead]], ...] = ()
    silent: str = ""


def ask_exchange(run: RunFolder) -> Known:
    """Read the run's records, as far as they can be reached; never raises."""
    address, public = run.exchange(), run.coordinator_key()
    if address is None or public is None:
        return Known(silent="nothing here names the exchange and the coordinator's key")
    try:
        store = open_store(address, run.place.environ)
        return Known(store, tuple(_signed_heads(store, run.name, public)))
    except FedcoreError as unable:
        return Known(silent=str(unable))


def compare(run: RunFolder, owner: str, entries: list[Entry], known: Known) -> str:
    """Raise `LedgerBroken` where the ledger is not what others hold of it; what was compared."""
    if known.store is None:
        return "not compared with the exchange"
    public = run.public_key(owner)
    party = owner.removeprefix("party-")
    count = 0
    for _, heads in known.heads:
        if party in heads:
            head = Head(heads[party].index, heads[party].hash)
            verify((entry.line for entry in entries), public, head)
            count += 1
    try:
        if owner == COORDINATOR:
            _require_parts(known.store, run.name, entries)
        else:
            _require_named(known.store, party, run.name, entries)
    except ExchangeError as unable:
        return f"as {count} signed records say; the rest was not compared ({unable})"
    return f"as {count} signed records and the exchange say"


def _signed_heads(
    store: ObjectStore, run: str, public: str
) -> Iterator[tuple[str, dict[str, LedgerHead]]]:
    number = 1
    while (record := _read(store, keys.record(run, number), Record, public)) is not None:
        yield f"the record of round {number}", record.ledgers
        number += 1
    end = _read(store, keys.end(run), End, public)
    if end is not None:
        yield "the end", end.ledgers


def _read(store: ObjectStore, key: str, kind: type, public: str) -> Record | End | None:
    try:
        return sealed.read_if_there(store, key, kind, public)
    except Refused as refused:
        raise Refused(refused.reason, f"{key} is not the coordinator's word") from None


def _require_named(store: ObjectStore, party: str, run: str, entries: list[Entry]) -> None:
    """Whatever lies under the party's prefix must stand in its ledger as left."""
    noted = {str(entry.subject.get("key")) for entry in entries if entry.kind == LEFT}
    folder = keys.party_folder(party, run)
    missing = [key for key in store.keys(folder) if key not in noted]
    if missing:
        raise LedgerBroken(
            f"ledger: entry {len(entries)} is missing: {missing[0]} has left and no entry says "
            "so: compare with a copy from before",
            len(entries),
        )


def _require_parts(store: ObjectStore, run: str, entries: list[Entry]) -> None:
    """The coordinator's ledger must hold, line by line, what it has published."""
    own = [entry.line for entry in entries]
    for index, line in enumerate(lines_of(store, published(store, run))):
        if index >= len(own):
            raise LedgerBroken(f"ledger: entry {index} and all after it are cut off", index)
        if own[index] != line:
            raise LedgerBroken(f"ledger: entry {index} is another than was published", index)
