"""The coordinator's ledger in the exchange, a part with every round, and everybody's heads.

A coordinator that starts on another machine takes the parts over before it writes an entry, so
there is one chain and never two. A head goes into a record only with the part that ends there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from fedcore.audit.entry import Entry, Head
from fedcore.errors import Conflict, LedgerBroken, NotThere, Refused
from fedcore.exchange import keys
from fedcore.exchange.store import ObjectStore
from fedcore.rounds.coordinator.desk import Desk
from fedcore.rounds.messages import LedgerHead, Reply, Score

COORDINATOR = "coordinator"
PART = re.compile(r"/rounds/(\d+)/ledger\.jsonl$")
OPENING = 0


def published(store: ObjectStore, run: str) -> list[str]:
    """The keys of all parts that stand, in the order of their entries."""
    found = [key for key in store.keys(keys.rounds_folder(run)) if PART.search(key)]
    parts = sorted(found, key=_number)
    last = keys.final_ledger_part(run)
    return [*parts, last] if store.exists(last) else parts


def lines_of(store: ObjectStore, parts: Iterable[str]) -> list[bytes]:
    """The entries of the given parts, line by line, as they stand; nothing is verified."""
    return [line for part in parts for line in store.get(part).splitlines()]


def take_over(desk: Desk) -> None:
    """Bring the ledger up to what stands in the exchange, if this machine's file is behind.

    Raises `LedgerBroken` when the two went different ways.
    """
    parts = published(desk.store, desk.run)
    if not parts or desk.ledger.holds(_last(desk.store, parts[-1])):
        return
    try:
        desk.ledger.adopt(lines_of(desk.store, parts))
    except LedgerBroken as broken:
        raise LedgerBroken(
            f"{desk.ledger.path}: entry {broken.index} is another than in the exchange: this run "
            "was continued elsewhere; move the file aside, and the command goes on from there",
            broken.index,
        ) from None


def publish_opening(desk: Desk) -> LedgerHead | None:
    """Publish the ledger as far as the parties' welcome."""
    return _publish(desk, keys.ledger_part(desk.run, OPENING), Head(-1, ""))


def publish_part(desk: Desk, number: int) -> LedgerHead | None:
    """Publish what the ledger gained since the round before; the head that stands published."""
    before = keys.ledger_part(desk.run, number - 1)
    return _publish(desk, keys.ledger_part(desk.run, number), _last(desk.store, before))


def publish_final_part(desk: Desk, rounds: int) -> LedgerHead | None:
    """Publish what the ledger gained since the last of `rounds` rounds."""
    before = keys.ledger_part(desk.run, rounds)
    return _publish(desk, keys.final_ledger_part(desk.run), _last(desk.store, before))


def newest(
    desk: Desk, known: dict[str, LedgerHead], said: Iterable[Reply | Score | None]
) -> dict[str, LedgerHead]:
    """Every party's newest head: of what was `known` and what its messages say.

    A head that went back, or is another in the same place, is written into the ledger: that
    party's ledger is no longer the one that it was.
    """
    heads = dict(known)
    for message in said:
        if message is None or message.ledger is None:
            continue
        before, now = heads.get(message.party), message.ledger
        if before is not None and _went_back(before, now):
            subject = {"party": message.party, "round": message.round, "index": now.index}
            desk.ledger.append_once("ledger_went_back", subject)
        if before is None or now.index > before.index:
            heads[message.party] = now
    return heads


def with_own(heads: dict[str, LedgerHead], own: LedgerHead | None) -> dict[str, LedgerHead]:
    """The heads with the coordinator's own, as published."""
    return heads if own is None else {**heads, COORDINATOR: own}


def _publish(desk: Desk, key: str, before: Head) -> LedgerHead | None:
    """Write the entries after `before`, or follow the part that stands; the head of it."""
    if not desk.ledger.holds(before):
        raise _elsewhere(desk, key, before)
    since = desk.ledger.entries(before.index + 1)
    if not since:
        return LedgerHead(index=before.index, hash=before.hash) if before.index >= 0 else None
    try:
        desk.store.put_once(key, b"".join(entry.line + b"\n" for entry in since))
    except Conflict:
        standing = _last(desk.store, key)
        if not desk.ledger.holds(standing):
            raise _elsewhere(desk, key, standing) from None
        return LedgerHead(index=standing.index, hash=standing.hash)
    return LedgerHead(index=since[-1].head.index, hash=since[-1].head.hash)


def _elsewhere(desk: Desk, key: str, head: Head) -> LedgerBroken:
    return LedgerBroken(
        f"{desk.ledger.path}: another coordinator has published {key} with other entries: this "
        "one ends; keep only one of them running",
        head.index,
    )


def _last(store: ObjectStore, key: str) -> Head:
    """The head at the end of a part; the empty ledger's where there is no such part."""
    try:
        lines = store.get(key).splitlines()
        return Entry.read(lines[-1]).head if lines else Head(-1, "")
    except NotThere:
        return Head(-1, "")
    except Refused as odd:
        raise LedgerBroken(f"{key}: its last line is no entry ({odd.detail})", 0) from None


def _went_back(before: LedgerHead, now: LedgerHead) -> bool:
    """Each message of a party comes after the last, and so does what its ledger noted for it."""
    return now != before and now.index <= before.index


def _number(key: str) -> int:
    found = PART.search(key)
    return int(found[1]) if found else 0
