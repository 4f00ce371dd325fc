"""Forgetting: what nobody reads again is removed from the exchange, as the task file says.

After a round's record, off the way of the next invitation, by the coordinator alone. Each object is
removed by itself, then all of them are written into the ledger; whoever comes back after a kill
finds the notes of those that are gone, removes the others, and writes the same entry.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from fedcore.audit.durable import hash_chunks
from fedcore.errors import NotAllowed, NotThere, Refused
from fedcore.exchange import keys
from fedcore.exchange.removed import MOST, Removal
from fedcore.exchange.store import ObjectStore
from fedcore.rounds.coordinator.asking import invitation_of, reply_of
from fedcore.rounds.coordinator.combining import combined_of
from fedcore.rounds.coordinator.desk import Desk
from fedcore.rounds.coordinator.grouping import bodies_of
from fedcore.rounds.coordinator.resuming import finished, records
from fedcore.rounds.messages import Invitation, Record
from fedcore.rounds.standing import Body, Made, Standing

REMOVED = "removed"
# As many as an entry of the ledger has room for.
ENTRY = 64
PIECE = 8 << 20
ROUND = re.compile(r"/rounds/(\d{5})/")
BODY = ".safetensors"


def forget_superseded(desk: Desk) -> None:
    """Remove what only rounds that are done have read; nothing of a round that is not.

    What stays for ever: every message and record, the first model and the best so far. What stays
    longer: what a late update may have started from, and with the cross-site evaluation each
    party's newest update.
    """
    keep, done = desk.task.retention.keep_rounds, records(desk)
    if keep is None or not done:
        return
    desk.fence.require()
    _remove(desk, len(done), _standing(desk, done).superseded(desk.task, done, keep))


def forget_rest(desk: Desk) -> None:
    """Remove what is left of a training that has ended: what nobody names, and what was scored."""
    keep, end = desk.task.retention.keep_rounds, finished(desk)
    if keep is None or end is None:
        return
    desk.fence.require()
    standing, old = _standing(desk, records(desk)), end.rounds - keep
    last = {end.best.key, end.final.key, keys.model(desk.run, 0)}
    rest = [
        Body(key, None, end.rounds)
        for key in _found(desk)
        if key not in last and not standing.is_newer(key, old) and _round_of(key) <= old
    ]
    _remove(desk, end.rounds, rest)


def _standing(desk: Desk, done: list[Record]) -> Standing:
    """What stands of the rounds that are `done`; each round and each entry is read once."""
    standing = desk.standing
    if not standing.rounds:
        hello = desk.hello(desk.guest.party_id)
        if hello is not None and hello.initial is not None:
            standing.given(hello.initial)
    for number in range(standing.rounds + 1, len(done) + 1):
        standing.take(desk.task, _made(desk, number))
    gone = desk.ledger.of_kind(REMOVED)
    standing.removed(key for one in gone[standing.heard :] for key in one.subject["objects"])
    standing.heard = len(gone)
    return standing


def _made(desk: Desk, number: int) -> Made:
    combined, invitation = combined_of(desk, number), invitation_of(desk, number)
    started = {party: _start(desk, invitation, party) for party in combined.updates}
    known = {party: asked for party, asked in started.items() if asked is not None}
    return Made(combined, invitation, bodies_of(desk, combined), known)


def _start(desk: Desk, invitation: Invitation, party: str) -> Invitation | None:
    """What an update of this round was trained from; `None` where its reply is gone."""
    if desk.task.federation.late == "discard":
        return invitation
    try:
        return invitation_of(desk, reply_of(desk, invitation, party).trained_in)
    except (Refused, NotThere):
        return None


def _gone(desk: Desk) -> set[str]:
    """The keys of all that the ledger says was removed."""
    return {key for one in desk.ledger.of_kind(REMOVED) for key in one.subject["objects"]}


def _found(desk: Desk) -> list[str]:
    """All large objects of the training that stand, what it was given to start from aside."""
    folders = [keys.party_folder(member.party_id, desk.run) for member in desk.members]
    own = (keys.rounds_folder(desk.run), keys.final_folder(desk.run), keys.all_groups(desk.run))
    gone = _gone(desk)
    there = (key for folder in (*own, *folders) for key in desk.store.keys(folder))
    return sorted(key for key in there if key.endswith(BODY) and key not in gone)


def _round_of(key: str) -> int:
    place = ROUND.search(key)
    return int(place[1]) if place else 0


def _remove(desk: Desk, number: int, bodies: Iterable[Body]) -> None:
    """Remove each, then say so in the ledger: an entry for a round, more where it has no room."""
    why = f"was removed after round {number} by the retention of the task file"
    gone = _removed(desk, bodies, why)
    while some := dict(islice(gone, ENTRY)):
        desk.ledger.append_once(REMOVED, {"round": number, "objects": some})
        desk.standing.removed(some)


def _removed(desk: Desk, bodies: Iterable[Body], why: str) -> Iterator[tuple[str, str]]:
    """Key and hash of each that is gone; none after one that these credentials may not remove."""
    for body in bodies:
        try:
            sha256 = _gone_by_now(desk.store, body, why)
        except NotAllowed as refused:
            desk.watch.say(f"{refused} (what nobody needs any more stays in the exchange)")
            return
        if sha256 is None:
            desk.standing.removed([body.key])
        else:
            yield body.key, sha256


def _gone_by_now(store: ObjectStore, body: Body, why: str) -> str | None:
    """Remove an object unless it is gone; its hash, `None` where there is none."""
    try:
        size = store.size(body.key)
        before = Removal.read(store.get(body.key)) if size <= MOST else None
        if before is not None:
            return before.sha256
        sha256 = body.sha256 or _hash_of(store, body.key, size)
        store.forget(body.key, Removal(sha256, size, why).note())
    except NotThere:
        return None
    return sha256


def _hash_of(store: ObjectStore, key: str, size: int) -> str:
    """Of what stands at `key`, a piece at a time."""
    return hash_chunks(store.get_range(key, start, PIECE) for start in range(0, size, PIECE))
