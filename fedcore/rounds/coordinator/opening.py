"""The opening: found the run, welcome the parties, take over the guest's initial model."""

from __future__ import annotations

import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

from fedcore.errors import QuorumNotMet, Refused, RunMismatch, TaskFileError, amount, problem
from fedcore.exchange import codec, keys
from fedcore.params import require_finite
from fedcore.rounds import sealed
from fedcore.rounds.coordinator.desk import Desk, mismatch
from fedcore.rounds.coordinator.ledger_parts import publish_opening, take_over
from fedcore.rounds.coordinator.naming import few, note_named
from fedcore.rounds.coordinator.starting import keep_made
from fedcore.rounds.messages import Agreement, Hello, Member, ObjectRef, Refusal
from fedcore.rounds.terms import LOOK_EVERY


def found(desk: Desk) -> Agreement:
    """Publish which task is trained with which parties; the run exists from here on."""
    _require_possible_quorum(desk)
    agreement = Agreement(
        run=desk.run,
        task=desk.task.model_dump(mode="json"),
        task_hash=desk.task.fingerprint(),
        parties=desk.members,
        code_version=desk.code_version,
    )
    standing = _standing(desk, agreement)
    if (standing.task_hash, standing.parties) != (agreement.task_hash, agreement.parties):
        raise RunMismatch(
            f"run {desk.run}: it was founded with another task file or other parties: "
            "give this training a name of its own with --run"
        )
    take_over(desk)
    ids = [member.party_id for member in desk.members]
    subject = {"run": desk.run, "task": standing.task_hash}
    note_named(desk.ledger, "training_opened", subject, "parties", ids)
    return standing


def _standing(desk: Desk, agreement: Agreement) -> Agreement:
    try:
        return sealed.settle(desk.store, keys.agreement(desk.run), agreement, desk.key)
    except Refused as refused:
        raise RunMismatch(
            f"run {desk.run}: somebody else founded it ({refused.reason}): use the output folder "
            "that holds its keys, or give this training a name of its own with --run"
        ) from None


def _require_possible_quorum(desk: Desk) -> None:
    quorum = desk.task.federation.quorum
    if quorum is not None and quorum > desk.seats:
        remedy = f"{_invites(desk)}; demand at most so many"
        raise TaskFileError(problem("the task file", "federation.quorum", quorum, remedy))
    _require_possible_promise(desk)


def _require_possible_promise(desk: Desk) -> None:
    """Raise `TaskFileError` where the parties are too few for what the strategy promises."""
    federation = desk.task.federation
    if federation.least_updates > desk.seats:
        needed = amount(federation.least_updates, "party", "parties")
        remedy = (
            f"{federation.strategy} needs {needed} for that and {_invites(desk)}; "
            "name fewer hostile ones or choose another strategy"
        )
        raise TaskFileError(
            problem("the task file", "federation.hostile", federation.hostile, remedy)
        )
    buffer = federation.buffer
    if buffer is not None and buffer > desk.seats:
        remedy = f"{_invites(desk)}; wait for at most so many"
        raise TaskFileError(problem("the task file", "federation.buffer_size", buffer, remedy))


def _invites(desk: Desk) -> str:
    """How many parties there are for a round, for a person."""
    named = f"the party file names {amount(len(desk.members), 'party', 'parties')}"
    if desk.seats == len(desk.members):
        return named
    share = f"{desk.task.federation.participation:g}"
    return f"{named}, of which federation.participation {share} invites {desk.seats}"


def welcome(desk: Desk) -> dict[str, Hello]:
    """Wait for the parties' hellos: for all, or for the quorum once the deadline has passed.

    The guest's is always needed: it brings the initial model. Raises `RunMismatch` when a hello
    does not fit and the quorum cannot do without it, `QuorumNotMet` when too few have come,
    `TaskFileError` when those of one modality are too few for a robust strategy.
    """
    limit = desk.task.federation.deadline
    until = None if limit is None else desk.watch.clock() + limit
    quorum = desk.quorum
    refused: list[RunMismatch] = []
    look_at = desk.watch.clock()
    for member in sorted(desk.members, key=lambda one: one.role):
        wait_until = None if member.role == "guest" else until
        refuses = False
        try:
            refuses = _await_word(desk, member, wait_until)
        except Refused as wrong:
            refused.append(mismatch(desk, member.party_id, wrong))
        # All are looked at, so among a thousand not after each.
        if refuses or desk.watch.clock() >= look_at:
            look_at = desk.watch.clock() + LOOK_EVERY
            if _impossible(desk, quorum):
                break
    if refused and len(desk.members) - len(refused) < quorum:
        raise refused[0]
    hellos = desk.hellos()
    if len(hellos) < quorum:
        raise QuorumNotMet(
            f"{len(hellos)} of {amount(len(desk.members), 'party', 'parties')} take part and the "
            f"quorum is {quorum} "
            f"({_absent(desk, hellos)}): start the missing ones and run the same command again; "
            "a refusal stays: agree with that party and start a new training with --run NAME"
        )
    _require_promise_in_each_modality(desk, hellos)
    note_welcomed(desk, hellos)
    return hellos


def _require_promise_in_each_modality(desk: Desk, hellos: dict[str, Hello]) -> None:
    """Raise `TaskFileError` where those of a modality are too few for what the strategy promises.

    An encoder is combined among its own parties alone.
    """
    federation = desk.task.federation
    found = Counter(hello.modality for hello in hellos.values() if hello.modality is not None)
    for modality, count in sorted(found.items()):
        if count < federation.least_updates:
            needed = amount(federation.least_updates, "party", "parties")
            remedy = (
                f"{federation.strategy} needs {needed} of each modality for that and {modality} "
                f"has {count}; name fewer hostile ones or choose another strategy"
            )
            field, value = "federation.hostile", federation.hostile
            raise TaskFileError(problem("the task file", field, value, remedy))


def _await_word(desk: Desk, member: Member, until: float | None) -> bool:
    """Wait for a party's hello or refusal; whether it refuses. `QuorumNotMet` for the guest's."""
    party = member.party_id

    def word() -> Hello | Refusal | None:
        desk.fence.glance()
        return desk.hello(party) or desk.declined(party)

    answer = desk.watch.wait(word, f"{member.label}'s hello", until, partial(desk.last_seen, party))
    if isinstance(answer, Refusal) and member.role == "guest":
        desk.hellos()  # notes who refused
        raise QuorumNotMet(
            f"{member.label} refuses the training ({answer.reason}: {answer.sentence}), and it is "
            "to bring the initial model: agree with it and start a new training with --run NAME"
        )
    return isinstance(answer, Refusal)


def _impossible(desk: Desk, quorum: int) -> bool:
    """Whether so many have declined that waiting for the others is of no use."""
    declined = [one for one in desk.members if desk.declined(one.party_id) is not None]
    return len(desk.members) - len(declined) < quorum


def _absent(desk: Desk, hellos: dict[str, Hello]) -> str:
    """Who takes no part and why, for a person."""
    missing = [member for member in desk.members if member.party_id not in hellos]
    return few((f"{member.label} {_why(desk, member.party_id)}" for member in missing), "; ")


def _why(desk: Desk, party: str) -> str:
    said = desk.declined(party)
    if said is not None:
        return f"refuses: {said.reason}, {said.sentence}"
    reason = desk.refusal(party)
    return f"is left out: {reason}" if reason else "has not come"


def note_welcomed(desk: Desk, hellos: dict[str, Hello]) -> None:
    """Write into the ledger whom the training goes on with, and the key trusted from now on."""
    for party, hello in hellos.items():
        subject = {"party": party, "data": hello.contract_hash, "key": desk.public_key(party)}
        desk.ledger.append_once("party_welcomed", subject)


def adopt_initial_model(desk: Desk) -> ObjectRef:
    """Check the guest's initial model and make it the global model of round 0."""
    hello = desk.hello(desk.guest.party_id)
    if hello is None or hello.initial is None:
        raise RunMismatch(f"{desk.guest.label}: it brought no initial model: start it again")
    ref = hello.initial.model_copy(update={"key": keys.model(desk.run, 0)})
    if desk.store.exists(ref.key):
        return ref
    if desk.store.own is not None:
        _adopt_own(desk, hello, hello.initial, ref)
        return ref
    with tempfile.TemporaryDirectory(prefix="initial-") as folder:
        path = Path(folder) / "initial.safetensors"
        sealed.fetch_to_file(desk.store, hello.initial, path)
        _require_usable(desk, hello, codec.Tensors.from_file(path))
        publish_opening(desk)
        desk.store.put_file_once(ref.key, path)
    return ref


def _adopt_own(desk: Desk, hello: Hello, initial: ObjectRef, ref: ObjectRef) -> None:
    """Take it over from memory: who made it is in this process, too."""
    body = sealed.fetch(desk.store, initial)
    _require_usable(desk, hello, codec.Tensors.from_bytes(body))
    publish_opening(desk)
    sealed.put_again(desk.store, ref, initial.key, body)
    keep_made(desk, ref.sha256, body)


def _require_usable(desk: Desk, hello: Hello, tensors: codec.Tensors) -> None:
    """Check it tensor by tensor, as nobody has said yet how large it may be."""
    params = codec.Lazy(tensors)
    require_finite(params)
    unknown = sorted(set(hello.kept_home) - params.keys())
    if unknown:
        raise RunMismatch(
            f"{desk.guest.label}: {unknown[0]} is kept home and not in the model: update fedcore "
            "at the guest and start a new training with --run NAME"
        )
