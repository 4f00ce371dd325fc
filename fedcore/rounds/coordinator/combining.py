"""Combining: admit each reply or quarantine it with its reason, then the weighted mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fedcore.errors import NotThere, Refused
from fedcore.exchange import codec, keys, model_step, packing
from fedcore.params import Array, Params, require_finite
from fedcore.rounds import sealed
from fedcore.rounds.coordinator.admission import Admission, admission_of
from fedcore.rounds.coordinator.asking import invitation_of, reply_of, require_quorum
from fedcore.rounds.coordinator.desk import Desk
from fedcore.rounds.coordinator.grouping import (
    group_answers,
    join,
    name_of,
    sum_group,
    verdicts_of,
)
from fedcore.rounds.coordinator.starting import keep_made, start_of
from fedcore.rounds.messages import Combined, Invitation, ModelStep, ObjectRef, Reply
from fedcore.strategies import Step, rule_for, summing_rule_for

# The fields of `Combined` that say who is in it.
Said = dict[str, Any]


def combine(desk: Desk, number: int, answers: Mapping[str, str]) -> Combined:
    """Make round `number`'s global model of the replies that `answers` names.

    Replies are taken in the order of party ids, whatever the order of arrival, so the model is
    the same to the bit; one update is in memory at a time. With `combining: tree` the groups' sums
    that stand are used. Raises `QuorumNotMet` when none is
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
    number, tree = invitation.round, desk.task.federation.combining == "tree"
    step, said = (_by_groups if tree else _flat)(desk, invitation, answers)
    require_finite(step.model)
    require_finite(step.memory)
    mine = Combined(
        run=desk.run,
        round=number,
        model=_publish_model(desk, number, step.model),
        memory=_publish(desk, keys.numbered_memory, number, codec.encode(step.memory))
        if step.memory
        else None,
        **said,
    )
    return sealed.settle(desk.store, keys.combined(desk.run, number), mine, desk.key)


def _flat(desk: Desk, invitation: Invitation, answers: Mapping[str, str]) -> tuple[Step, Said]:
    """All updates as one sum, or whatever else the strategy makes of them."""
    start = start_of(desk, invitation)
    admission = admission_of(desk, invitation, start)
    step = _step(admission, start, answers)
    updates = {party: reply.update.sha256 for party, reply in admission.replies.items()}
    return step, {
        "step": _publish_step(desk, invitation, start, step.model),
        "weights": admission.weights,
        "updates": updates,
        "absent": admission.absent,
    }


def _by_groups(desk: Desk, invitation: Invitation, answers: Mapping[str, str]) -> tuple[Step, Said]:
    """The sums of the groups, in their order; those that nobody has made by now are made first."""
    of_group = group_answers(desk, invitation.round, answers)
    sums = [sum_group(desk, invitation.round, group, one) for group, one in of_group.items()]
    verdicts = {party: word for one in sums for party, word in verdicts_of(one).items()}
    require_quorum(desk, invitation.round, verdicts)
    rule = summing_rule_for(desk.task.federation)
    join(desk, sums, rule)
    names = (name_of(desk, invitation.round, group, one) for group, one in of_group.items())
    start = start_of(desk, invitation)
    step = rule.finish(start, _memory(desk, invitation))
    return step, {
        "step": _publish_step(desk, invitation, start, step.model),
        "weights": {party: weight for one in sums for party, weight in one.weights.items()},
        "updates": {party: sha256 for one in sums for party, sha256 in one.updates.items()},
        "absent": {party: reason for one in sums for party, reason in one.absent.items()},
        "groups": tuple(names),
    }


def _step(admission: Admission, start: Params, answers: Mapping[str, str]) -> Step:
    """What the strategy makes of the admitted updates; `QuorumNotMet` when they are too few."""
    desk, invitation = admission.desk, admission.invitation
    rule = rule_for(desk.task.federation)
    with admission.contributions(answers, keeping=rule.keeping) as contributions:
        for contribution in contributions:
            rule.add(contribution)
            del contribution  # an update more in memory while the next arrives
        require_quorum(desk, invitation.round, admission.verdicts)
        return rule.finish(start, _memory(desk, invitation))


def _memory(desk: Desk, invitation: Invitation) -> Params:
    """What the strategy remembered after the round before; nothing in the first."""
    if invitation.memory is None:
        return {}
    return codec.decode(sealed.fetch(desk.store, invitation.memory))


def _publish_step(
    desk: Desk, invitation: Invitation, start: Mapping[str, Array], model: Params
) -> ModelStep | None:
    """Make `model` what a packed step from `start` leads to, and write the step; or leave both."""
    agreed, number, base = desk.task.update, invitation.round, invitation.weights.sha256
    if agreed.model == "full":
        return None
    # No party's id: none has a slash.
    seed = packing.seed_of(desk.task.seed, "model/step", number, base)
    packed = model_step.step_to(model, start, agreed.codec, seed)
    ref = _publish(desk, keys.numbered_step, number, codec.encode(packed))
    return ModelStep(**ref.model_dump(), base=base)


def _publish_model(desk: Desk, number: int, model: Params) -> ObjectRef:
    """Write the round's model; the next round starts from it."""
    body = codec.encode(model)
    ref = _publish(desk, keys.numbered_model, number, body)
    keep_made(desk, ref.sha256, body)
    return ref


def _publish(
    desk: Desk, place: Callable[[str, int, str], str], number: int, body: memoryview
) -> ObjectRef:
    """Write encoded arrays under a name that holds their hash."""
    ref = sealed.reference(keys.model(desk.run, number), body)
    ref = ref.model_copy(update={"key": place(desk.run, number, ref.sha256)})
    sealed.put_hashed(desk.store, ref, body)
    return ref


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


def reply_as_combined(
    desk: Desk, combined: Combined, invitation: Invitation, party: str
) -> Reply | None:
    """The reply whose update is in the model; `None` where another stands in its place by now."""
    try:
        reply = reply_of(desk, invitation, party)
        if reply.update.sha256 == combined.updates[party]:
            return reply
    except (Refused, NotThere):
        pass
    subject = {"round": combined.round, "party": party, "reason": "reply_changed"}
    desk.ledger.append_once("reply_changed", subject)
    return None
