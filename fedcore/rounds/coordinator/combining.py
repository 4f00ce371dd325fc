"""Combining: admit each reply or quarantine it with its reason, then the weighted mean."""

from __future__ import annotations

from collections.abc import Mapping

from fedcore.errors import NotThere, Refused
from fedcore.exchange import codec, keys
from fedcore.params import Params, Schema, norm, require_finite, schema
from fedcore.rounds import sealed
from fedcore.rounds.coordinator.asking import REPLIED, invitation_of, reply_of
from fedcore.rounds.coordinator.desk import Desk
from fedcore.rounds.messages import Combined, Invitation, Reply
from fedcore.strategies import WeightedMean, advance, weight_of

# A clipped update may exceed its bound by the rounding of one float32 multiplication.
NORM_SLACK = 1.0 + 1e-5


def combine(desk: Desk, number: int, answers: Mapping[str, str]) -> Combined:
    """Make round `number`'s global model of the replies that `answers` names.

    Replies are taken in the order of party ids, whatever the order of arrival, so the model is
    the same to the bit; one update is in memory at a time. Raises `QuorumNotMet` when none is
    admitted.
    """
    invitation = invitation_of(desk, number)
    start = codec.decode(sealed.fetch(desk.store, invitation.weights))
    mean, weights, absent = _mean_update(desk, invitation, start, answers)
    body = codec.encode(advance(start, mean))
    ref = sealed.reference(keys.model(desk.run, number), body)
    ref = ref.model_copy(update={"key": keys.numbered_model(desk.run, number, ref.sha256)})
    desk.store.put_once(ref.key, body)
    mine = Combined(run=desk.run, round=number, model=ref, weights=weights, absent=absent)
    standing = sealed.settle(desk.store, keys.combined(desk.run, number), mine, desk.key)
    desk.ledger.append_once("combined", {"round": number, "model": standing.model.sha256})
    return standing


def combined_of(desk: Desk, number: int) -> Combined:
    """What stands as combined in round `number`."""
    return sealed.read(desk.store, keys.combined(desk.run, number), Combined, desk.key.public)


def _mean_update(
    desk: Desk, invitation: Invitation, start: Params, answers: Mapping[str, str]
) -> tuple[Params, dict[str, float], dict[str, str]]:
    """The mean of the admitted updates, their weights by party, and why the others are absent."""
    mean, weights = WeightedMean(), {}
    absent = {party: answer for party, answer in answers.items() if answer != REPLIED}
    expected = _shared_schema(desk, start)
    for party in sorted(answers.keys() - absent.keys()):
        try:
            reply, update = _admit(desk, invitation, party, expected)
        except (Refused, NotThere) as refused:
            absent[party] = refused.reason if isinstance(refused, Refused) else "update_missing"
            subject = {"round": invitation.round, "party": party, "reason": absent[party]}
            desk.ledger.append_once("update_refused", subject)
            continue
        weight = weight_of(desk.task.federation.weighting, reply.patients, reply.images)
        mean.add(update, weight)
        weights[party] = weight
        _note_admitted(desk, invitation.round, reply)
    return mean.result(), weights, absent


def _admit(
    desk: Desk, invitation: Invitation, party: str, expected: Schema
) -> tuple[Reply, Params]:
    """The reply and its update after every check of the admission; `Refused` with the reason."""
    reply = reply_of(desk, invitation, party)
    update = codec.decode(sealed.fetch(desk.store, reply.update), expected)
    require_finite(update)
    limit = invitation.clip_norm
    if limit is not None and norm(update) > limit * NORM_SLACK:
        raise Refused("norm", f"the update of {party} is longer than {limit}")
    return reply, update


def _shared_schema(desk: Desk, start: Params) -> Schema:
    """Names, dtypes and shapes that an update must have: the model's, less what stays home."""
    hello = desk.hello(desk.guest.party_id)
    home = set(hello.kept_home) if hello else set()
    return {name: kind for name, kind in schema(start).items() if name not in home}


def _note_admitted(desk: Desk, number: int, reply: Reply) -> None:
    subject = {
        "round": number,
        "party": reply.party,
        "update": reply.update.sha256,
        "size": reply.update.size,
    }
    desk.ledger.append_once("update_admitted", subject)
