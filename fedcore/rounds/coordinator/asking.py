"""Asking: publish a round's invitation, wait for each party's reply, count them."""

from __future__ import annotations

from fedcore.errors import QuorumNotMet, Refused
from fedcore.exchange import keys
from fedcore.rounds import sealed
from fedcore.rounds.coordinator.desk import Desk
from fedcore.rounds.coordinator.opening import note_welcomed
from fedcore.rounds.messages import Invitation, ObjectRef, Reply

REPLIED = "replied"
LATE = "late"


def invite(desk: Desk, number: int, weights: ObjectRef) -> Invitation:
    """Publish the invitation to round `number`, to all parties whose hello counts by now."""
    hellos = desk.hellos()
    note_welcomed(desk, hellos)
    invitation = Invitation(
        run=desk.run,
        round=number,
        parties=tuple(hellos),
        weights=weights,
        task_hash=desk.task.fingerprint(),
        clip_norm=desk.task.federation.clip_norm,
    )
    standing = sealed.settle(desk.store, keys.invitation(desk.run, number), invitation, desk.key)
    subject = {"round": number, "weights": weights.sha256, "parties": list(standing.parties)}
    desk.ledger.append_once("invited", subject)
    return standing


def invitation_of(desk: Desk, number: int) -> Invitation:
    """The invitation to round `number` as it stands."""
    key = keys.invitation(desk.run, number)
    known = desk.recall(key, Invitation, desk.key.public)
    return known or sealed.read(desk.store, key, Invitation, desk.key.public)


def deadline(desk: Desk) -> float | None:
    """The moment, on the desk's clock, until which a step that begins now may wait."""
    limit = desk.task.federation.deadline
    return None if limit is None else desk.watch.clock() + limit


def ask(desk: Desk, number: int, party: str, until: float | None = None) -> str:
    """Wait for one party's reply to round `number`; `replied`, `late`, or why it is refused."""
    key = keys.reply(party, desk.run, number)
    what = f"{desk.member(party).label}'s reply to round {number}"
    there = desk.watch.wait(lambda: desk.store.exists(key) or None, what, until)
    if not there:
        return LATE
    try:
        reply_of(desk, invitation_of(desk, number), party)
    except Refused as refused:
        return refused.reason
    return REPLIED


def reply_of(desk: Desk, invitation: Invitation, party: str) -> Reply:
    """The party's reply; raises `Refused` unless it is signed by it and answers this invitation."""
    key = keys.reply(party, desk.run, invitation.round)
    reply = sealed.read(desk.store, key, Reply, desk.public_key(party))
    hello = desk.hello(party)
    checks = {
        "wrong_run": reply.run == desk.run,
        "wrong_round": reply.round == invitation.round,
        "wrong_party": reply.party == party,
        "stale_base": reply.base == invitation.weights.sha256,
        "wrong_task": reply.task_hash == invitation.task_hash,
        "wrong_key": reply.update.key == keys.update(party, desk.run, invitation.round),
        "data_changed": hello is not None and reply.contract_hash == hello.contract_hash,
        "wrong_counts": hello is not None
        and (reply.patients, reply.images) == (hello.patients, hello.images),
    }
    for reason, holds in checks.items():
        if not holds:
            raise Refused(reason, f"the reply of {party} to round {invitation.round}")
    return reply


def require_quorum(desk: Desk, number: int, answers: dict[str, str]) -> None:
    """Raise `QuorumNotMet`, naming every absent party and why, when too few have replied."""
    quorum = desk.task.federation.quorum or len(desk.members)
    replied = [party for party, answer in answers.items() if answer == REPLIED]
    if len(replied) >= quorum:
        return
    absent = ", ".join(
        f"{desk.member(party).label}: {answer}"
        for party, answer in sorted(answers.items())
        if answer != REPLIED
    )
    never = sorted({member.party_id for member in desk.members} - answers.keys())
    absent += "".join(f", {desk.member(party).label}: never came" for party in never)
    raise QuorumNotMet(
        f"round {number} is void: {len(replied)} replies and the quorum is {quorum} "
        f"({absent.removeprefix(', ')}): bring late parties back and run the same command again; "
        "what was refused stays so, then start a new training with --run NAME"
    )
