"""A tree of two levels: each group's updates are added up by themselves, then the groups' sums.

Adding up a group is a function of the round, the group and who has replied; it reads from the
exchange and writes into it, so anybody who may act for the coordinator can do it, at any time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import PurePosixPath

from fedcore.audit.canonical import canonical
from fedcore.exchange import codec, keys
from fedcore.params import Array, Params
from fedcore.rounds import sealed
from fedcore.rounds.coordinator.admission import Admission, admission_of
from fedcore.rounds.coordinator.ahead import one_ahead
from fedcore.rounds.coordinator.asking import REPLIED, ask, invitation_of
from fedcore.rounds.coordinator.desk import Desk
from fedcore.rounds.coordinator.starting import start_of
from fedcore.rounds.group_messages import GroupSum
from fedcore.rounds.messages import Combined, Invitation, ObjectRef
from fedcore.strategies import Partial, Summing, summing_rule_for

# A body of sums is closed before it is larger, unless a single array is.
BODY_BYTES = 16 << 20
Answers = Mapping[str, str]


def groups_of(desk: Desk, invitation: Invitation) -> list[tuple[str, ...]]:
    """The round's groups, one party id after the other; none where all is one sum."""
    federation, parties = desk.task.federation, sorted(invitation.parties)
    if federation.combining == "flat":
        return []
    size = federation.group_of(len(parties))
    return [tuple(parties[begin : begin + size]) for begin in range(0, len(parties), size)]


def groups(desk: Desk, number: int) -> list[int]:
    """The numbers of the groups of round `number`, from 1; none where all is one sum."""
    found = groups_of(desk, invitation_of(desk, number))
    return list(range(1, len(found) + 1))


def ask_group(desk: Desk, number: int, group: int, until: float | None = None) -> dict[str, str]:
    """`ask` of each party of a group, one after the other: everybody's answer."""
    parties = groups_of(desk, invitation_of(desk, number))[group - 1]
    return {party: ask(desk, number, party, until) for party in parties}


def summed(desk: Desk, number: int, group: int, answers: Answers) -> GroupSum | None:
    """What a group whose parties gave these `answers` adds up to, if somebody did it already."""
    key = keys.group_sum(desk.run, number, group, _mark(answers))
    return desk.recall(key, GroupSum, desk.key.public)


def sum_group(desk: Desk, number: int, group: int, answers: Answers) -> GroupSum:
    """Check and add up the updates that `answers` names; the group's sum that stands.

    Bodies first, the word last. One update and the sums are in memory at a time.
    """
    standing = summed(desk, number, group, answers)
    return standing or _sum_now(desk, invitation_of(desk, number), group, answers)


def group_answers(desk: Desk, number: int, answers: Answers) -> dict[int, dict[str, str]]:
    """What of the round's `answers` is of each group, by its number."""
    found = groups_of(desk, invitation_of(desk, number))
    return {
        group: {party: answers[party] for party in parties if party in answers}
        for group, parties in enumerate(found, start=1)
    }


def verdicts_of(one: GroupSum) -> dict[str, str]:
    """Every party of the group, and `replied` or why it is not in."""
    return {**one.absent, **dict.fromkeys(one.weights, REPLIED)}


def join(desk: Desk, sums: Sequence[GroupSum], rule: Summing) -> None:
    """Add the groups' sums up, in their order; two bodies are in memory at a time."""
    refs = (ref for one in sums for ref in one.bodies)
    arriving = one_ahead(partial(sealed.fetch, desk.store, ref) for ref in refs)
    for one in sums:
        if one.bodies:
            rule.join(Partial(one.notes, _arrays(one, arriving)))


def _arrays(one: GroupSum, arriving: Iterator[Future[memoryview]]) -> Iterator[tuple[str, Array]]:
    for _ in one.bodies:
        yield from codec.Lazy(codec.Tensors.from_bytes(next(arriving).result())).items()


def _sum_now(desk: Desk, invitation: Invitation, group: int, answers: Answers) -> GroupSum:
    start = start_of(desk, invitation)
    admission = admission_of(desk, invitation, start)
    sums = _added_up(admission, answers)
    number, weights = invitation.round, admission.weights
    mine = GroupSum(
        run=desk.run,
        round=number,
        group=group,
        bodies=tuple(_publish(desk, number, group, sums.arrays)) if weights else (),
        notes=dict(sums.notes) if weights else {},
        weights=weights,
        updates={party: reply.update.sha256 for party, reply in admission.replies.items()},
        absent=admission.absent,
    )
    key = keys.group_sum(desk.run, number, group, _mark(answers))
    return sealed.settle(desk.store, key, mine, desk.key)


def _added_up(admission: Admission, answers: Answers) -> Partial:
    rule = summing_rule_for(admission.desk.task.federation)
    with admission.contributions(answers, keeping=False) as contributions:
        for contribution in contributions:
            rule.add(contribution)
            del contribution  # an update more in memory while the next arrives
    return rule.partial()


def _publish(
    desk: Desk, number: int, group: int, arrays: Iterable[tuple[str, Array]]
) -> Iterator[ObjectRef]:
    """Write sums in bodies of bounded size, each under a name that holds its hash."""
    for some in _bounded(arrays):
        body = codec.encode(some)
        some.clear()
        ref = sealed.reference(keys.model(desk.run, number), body)
        ref = ref.model_copy(update={"key": keys.group_body(desk.run, number, group, ref.sha256)})
        desk.store.put_once(ref.key, body)
        yield ref


def _bounded(arrays: Iterable[tuple[str, Array]]) -> Iterator[Params]:
    some: Params = {}
    size = 0
    for name, array in arrays:
        if some and size + array.nbytes > BODY_BYTES:
            yield some
            some, size = {}, 0
        some[name] = array
        size += array.nbytes
    if some:
        yield some


def _mark(answers: Answers) -> str:
    """Who had replied and who not, as a name: with other answers it is another sum."""
    return hashlib.sha256(canonical(dict(answers))).hexdigest()[:16]


def name_of(desk: Desk, number: int, group: int, answers: Answers) -> str:
    """The last part of the key under which the group's word stands."""
    return PurePosixPath(keys.group_sum(desk.run, number, group, _mark(answers))).name


def bodies_of(desk: Desk, combined: Combined) -> list[ObjectRef]:
    """All sums that a round was made of; none where all was one sum."""
    folder = keys.groups_folder(desk.run, combined.round)
    words = (desk.recall(folder + name, GroupSum, desk.key.public) for name in combined.groups)
    return [ref for word in words if word is not None for ref in word.bodies]
