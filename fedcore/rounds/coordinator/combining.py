"""Combining: admit each reply or quarantine it with its reason, then the weighted mean."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from fedcore.errors import NotThere, Refused
from fedcore.exchange import codec, keys
from fedcore.params import Params, Schema, norm, require_finite, schema
from fedcore.rounds import sealed
from fedcore.rounds.coordinator.asking import (
    REPLIED,
    invitation_of,
    reply_of,
    require_quorum,
)
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
    desk.fence.require()
    invitation = invitation_of(desk, number)
    standing = desk.recall(keys.combined(desk.run, number), Combined, desk.key.public)
    if standing is None:
        standing = _combine_now(desk, invitation, answers)
    _note(desk, standing)
    return standing


def _combine_now(desk: Desk, invitation: Invitation, answers: Mapping[str, str]) -> Combined:
    """Combine, publish the model, then the decision; the decision that stands."""
    number = invitation.round
    start = codec.decode(sealed.fetch(desk.store, invitation.weights))
    mean, admitted, absent = _mean_update(desk, invitation, start, answers)
    verdicts = {**answers, **absent, **dict.fromkeys(admitted, REPLIED)}
    require_quorum(desk, number, verdicts)
    new = advance(start, mean.result())
    require_finite(new)
    body = codec.encode(new)
    ref = sealed.reference(keys.model(desk.run, number), body)
    ref = ref.model_copy(update={"key": keys.numbered_model(desk.run, number, ref.sha256)})
    desk.store.put_once(ref.key, body)
    mine = Combined(
        run=desk.run,
        round=number,
        model=ref,
        weights={party: weight for party, (weight, _) in admitted.items()},
        updates={party: reply.update.sha256 for party, (_, reply) in admitted.items()},
        absent=absent,
    )
    return sealed.settle(desk.store, keys.combined(desk.run, number), mine, desk.key)


def _note(desk: Desk, standing: Combined) -> None:
    """Write the decision that stands into the ledger, party by party."""
    number = standing.round
    for party, sha256 in sorted(standing.updates.items()):
        subject = {"round": number, "party": party, "update": sha256}
        desk.ledger.append_once("update_admitted", subject)
    for party, reason in sorted(standing.absent.items()):
        subject = {"round": number, "party": party, "reason": reason}
        desk.ledger.append_once("update_absent", subject)
    desk.ledger.append_once("combined", {"round": number, "model": standing.model.sha256})


def combined_of(desk: Desk, number: int) -> Combined:
    """What stands as combined in round `number`."""
    key = keys.combined(desk.run, number)
    known = desk.recall(key, Combined, desk.key.public)
    return known or sealed.read(desk.store, key, Combined, desk.key.public)


def _mean_update(
    desk: Desk, invitation: Invitation, start: Params, answers: Mapping[str, str]
) -> tuple[WeightedMean, dict[str, tuple[float, Reply]], dict[str, str]]:
    """The mean of the admitted updates, their weights and replies, and why others are absent."""
    mean, admitted = WeightedMean(), {}
    absent = {party: answer for party, answer in answers.items() if answer != REPLIED}
    expected = _shared_schema(desk, start)
    for party in sorted(answers.keys() - absent.keys()):
        try:
            reply, update = _admit(desk, invitation, party, expected)
        except (Refused, NotThere) as refused:
            absent[party] = refused.reason if isinstance(refused, Refused) else "update_missing"
            continue
        weight = weight_of(desk.task.federation.weighting, reply.patients, reply.images)
        mean.add(update, weight)
        admitted[party] = (weight, reply)
    return mean, admitted, absent


def _admit(
    desk: Desk, invitation: Invitation, party: str, expected: Schema
) -> tuple[Reply, Params]:
    """The reply and its update after every check of the admission; `Refused` with the reason."""
    reply = reply_of(desk, invitation, party)
    update = codec.decode(sealed.fetch(desk.store, reply.update, _most_bytes(expected)), expected)
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


def _most_bytes(expected: Schema) -> int:
    """The size of an honest update: its values, and room for the header's names and offsets."""
    values = sum(np.dtype(kind).itemsize * math.prod(shape) for kind, shape in expected.values())
    return values + 4096 + sum(256 + 2 * len(name) for name in expected)
