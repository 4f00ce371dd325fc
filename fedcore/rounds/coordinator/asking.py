"""Asking: publish a round's invitation, wait for each party's reply, count them."""

from __future__ import annotations

from fedcore.errors import QuorumNotMet, Refused, amount
from fedcore.exchange import keys
from fedcore.rounds import sealed
from fedcore.rounds.coordinator.desk import Desk
from fedcore.rounds.coordinator.drawing import drawn
from fedcore.rounds.coordinator.naming import few, note_named
from fedcore.rounds.coordinator.opening import note_welcomed
from fedcore.rounds.messages import LATE, Combined, Invitation, ObjectRef, Reply
from fedcore.rounds.terms import LOOK_EVERY

REPLIED = "replied"


def invite(desk: Desk, number: int, weights: ObjectRef) -> Invitation:
    """Publish the invitation to round `number`, to those whose hello counts by now.

    To all of them, or to as many as the task file's `participation` has drawn.
    """
    desk.fence.require()
    desk.replies.clear()
    hellos = desk.hellos()
    note_welcomed(desk, hellos)
    parties = drawn(hellos, desk.seats, desk.task.seed, number)
    before = desk.recall(keys.combined(desk.run, number - 1), Combined, desk.key.public)
    invitation = Invitation(
        run=desk.run,
        round=number,
        parties=parties,
        not_invited=tuple(party for party in hellos if party not in parties),
        weights=weights,
        step=before.step if before is not None and before.model == weights else None,
        task_hash=desk.task.fingerprint(),
        clip_norm=desk.task.federation.clip_norm,
        memory=before.memory if before is not None else None,
    )
    standing = sealed.settle(desk.store, keys.invitation(desk.run, number), invitation, desk.key)
    subject = {"round": number, "weights": weights.sha256}
    note_named(desk.ledger, "invited", subject, "parties", standing.parties)
    return standing


def invitation_of(desk: Desk, number: int) -> Invitation:
    """The invitation to round `number` as it stands."""
    key = keys.invitation(desk.run, number)
    known = desk.recall(key, Invitation, desk.key.public)
    return known or sealed.read(desk.store, key, Invitation, desk.key.public)


def bytes_down(desk: Desk, invitation: Invitation) -> int:
    """What the round's model took to come to all: by the step to those of the round before.

    Who is not invited fetches it, too: to score it.
    """
    there = invitation.parties + invitation.not_invited
    whole, step = invitation.weights.size, invitation.step
    if step is None:
        return whole * len(there)
    before = invitation_of(desk, invitation.round - 1)
    known = {*before.parties, *before.not_invited}
    return sum(step.size if party in known else whole for party in there)


def deadline(desk: Desk) -> float | None:
    """The moment, on the desk's clock, until which a step that begins now may wait."""
    limit = desk.task.federation.deadline
    return None if limit is None else desk.watch.clock() + limit


def ask(desk: Desk, number: int, party: str, until: float | None = None) -> str:
    """Wait for one party's reply to round `number`; `replied`, `late`, or why it is refused."""
    key = keys.reply(party, desk.run, number)
    what = f"{desk.member(party).label}'s reply to round {number}"
    if not wait_for(desk, party, key, what, until, kind=f"reply of {party}"):
        declined = desk.declined(party)
        return f"refused: {declined.reason}" if declined is not None else LATE
    try:
        reply_of(desk, invitation_of(desk, number), party)
    except Refused as refused:
        return refused.reason
    return REPLIED


def wait_for(
    desk: Desk, party: str, key: str, what: str, until: float | None, kind: str = ""
) -> bool:
    """Wait for an object of a party; whether it came before `until`. `kind`: see `Watch.wait`.

    A party that has declined since then sends nothing more, so nobody waits for it.
    """
    look_at = desk.watch.clock() + LOOK_EVERY

    def there() -> bool | None:
        nonlocal look_at
        desk.fence.glance()
        if desk.store.exists(key):
            return True
        if desk.watch.clock() < look_at:
            return None
        look_at = desk.watch.clock() + LOOK_EVERY
        return False if desk.declined(party) is not None else None

    return bool(desk.watch.wait(there, what, until, lambda: desk.last_seen(party), kind))


def reply_of(desk: Desk, invitation: Invitation, party: str) -> Reply:
    """The party's reply; raises `Refused` unless it is signed by it and answers this invitation."""
    key = keys.reply(party, desk.run, invitation.round)
    known = desk.replies.get(key)
    if known is not None:
        return known
    reply = sealed.read(desk.store, key, Reply, desk.public_key(party))
    hello = desk.hello(party)
    checks = {
        "wrong_run": reply.run == desk.run,
        "wrong_round": reply.round == invitation.round,
        "wrong_party": reply.party == party,
        "stale_base": reply.base == _base_of(desk, invitation, reply),
        "too_stale": _fresh_enough(desk, staleness_of(invitation, reply)),
        "repeated": not _combined_before(desk, invitation.round, reply),
        "wrong_task": reply.task_hash == invitation.task_hash,
        "wrong_key": reply.update.key == keys.update(party, desk.run, reply.trained_in),
        "wrong_codec": reply.codec == desk.task.update.codec,
        "data_changed": hello is not None and reply.contract_hash == hello.contract_hash,
        "wrong_counts": hello is not None
        and (reply.patients, reply.images) == (hello.patients, hello.images),
    }
    for reason, holds in checks.items():
        if not holds:
            raise Refused(reason, f"the reply of {party} to round {invitation.round}")
    desk.replies[key] = reply
    return reply


def _base_of(desk: Desk, invitation: Invitation, reply: Reply) -> str | None:
    """The weights that a reply may have started from: this round's, or those that it missed."""
    if reply.trained_in == invitation.round:
        return invitation.weights.sha256
    if desk.task.federation.late != "next_round" or reply.trained_in > invitation.round:
        return None
    missed = invitation_of(desk, reply.trained_in)
    return missed.weights.sha256 if reply.party in missed.parties else None


def staleness_of(invitation: Invitation, reply: Reply) -> int:
    """How many rounds ago the model was made that the reply's training started from."""
    return invitation.round - reply.trained_in


def _fresh_enough(desk: Desk, staleness: int) -> bool:
    most = desk.task.federation.max_staleness
    return most is None or staleness <= most


def _combined_before(desk: Desk, number: int, reply: Reply) -> bool:
    """Whether an earlier round has this update already: late is once, not twice."""
    earlier = range(reply.trained_in, number)
    done = (desk.recall(keys.combined(desk.run, one), Combined, desk.key.public) for one in earlier)
    return any(one.updates.get(reply.party) == reply.update.sha256 for one in done if one)


def require_quorum(desk: Desk, number: int, answers: dict[str, str]) -> None:
    """Raise `QuorumNotMet`, naming every absent party and why, when too few have replied."""
    quorum = desk.quorum
    replied = [party for party, answer in answers.items() if answer == REPLIED]
    if len(replied) >= quorum:
        return
    not_invited = invitation_of(desk, number).not_invited
    never = sorted({one.party_id for one in desk.members} - answers.keys() - set(not_invited))
    reasons = {party: answer for party, answer in sorted(answers.items()) if answer != REPLIED}
    reasons |= {party: desk.refusal(party) or "never came" for party in never}
    # A void round has no record; here stands why.
    note_named(desk.ledger, "round_void", {"round": number}, "absent", reasons)
    absent = few(f"{desk.member(party).label}: {why}" for party, why in reasons.items())
    came = amount(len(replied), "reply", "replies")
    raise QuorumNotMet(
        f"round {number} is void: {came} and the quorum is {quorum} "
        f"({absent}): bring late parties back and run the same command again; "
        "what was refused stays so, then start a new training with --run NAME"
    )
