"""The opening: found the run, welcome the parties, take over the guest's initial model."""

from __future__ import annotations

from functools import partial

from fedcore.errors import QuorumNotMet, RunMismatch, TaskFileError, problem
from fedcore.exchange import codec, keys
from fedcore.params import require_finite, schema
from fedcore.rounds import sealed
from fedcore.rounds.coordinator.desk import Desk
from fedcore.rounds.messages import Agreement, Hello, ObjectRef


def found(desk: Desk) -> Agreement:
    """Publish which task is trained with which parties; the run exists from here on."""
    quorum = desk.task.federation.quorum
    if quorum is not None and quorum > len(desk.members):
        remedy = f"the party file names {len(desk.members)} parties; demand at most so many"
        raise TaskFileError(problem("the task file", "federation.quorum", quorum, remedy))
    agreement = Agreement(
        run=desk.run,
        task=desk.task.model_dump(mode="json"),
        task_hash=desk.task.fingerprint(),
        parties=desk.members,
        code_version=desk.code_version,
    )
    standing = sealed.settle(desk.store, keys.agreement(desk.run), agreement, desk.key)
    if (standing.task_hash, standing.parties) != (agreement.task_hash, agreement.parties):
        raise RunMismatch(
            f"run {desk.run}: it was founded with another task file or other parties: "
            "give this training a name of its own with --run"
        )
    ids = [member.party_id for member in desk.members]
    desk.ledger.append_once(
        "training_opened", {"run": desk.run, "task": standing.task_hash, "parties": ids}
    )
    return standing


def welcome(desk: Desk) -> dict[str, Hello]:
    """Wait for the parties' hellos: for all, or for the quorum once the deadline has passed.

    The guest's is always needed: it brings the initial model. Raises `RunMismatch` when the
    parties' classes differ and `QuorumNotMet` when too few have come.
    """
    limit = desk.task.federation.deadline
    until = None if limit is None else desk.watch.clock() + limit
    for member in sorted(desk.members, key=lambda one: one.party_id):
        come = partial(desk.hello, member.party_id)
        desk.watch.wait(come, f"{member.label}'s hello", None if member.role == "guest" else until)
    hellos = desk.hellos()
    quorum = desk.task.federation.quorum or len(desk.members)
    if len(hellos) < quorum:
        raise QuorumNotMet(
            f"{len(hellos)} of {len(desk.members)} parties came before the deadline ({limit} s) "
            f"and the quorum is {quorum}: start the missing ones and run the same command again"
        )
    for party, hello in hellos.items():
        require_same_classes(desk, party, hello, hellos[desk.guest.party_id])
        desk.ledger.append_once("party_welcomed", {"party": party, "data": hello.contract_hash})
    return hellos


def require_same_classes(desk: Desk, party: str, hello: Hello, guests: Hello) -> None:
    """Raise `RunMismatch` unless the party numbers its classes as the guest does."""
    if hello.classes != guests.classes:
        raise RunMismatch(
            f"{desk.member(party).label}: data.classes are {list(hello.classes)}, the guest's are "
            f"{list(guests.classes)}: name data.classes in the task file"
        )


def adopt_initial_model(desk: Desk) -> ObjectRef:
    """Check the guest's initial model and make it the global model of round 0."""
    hello = desk.hello(desk.guest.party_id)
    if hello is None or hello.initial is None:
        raise RunMismatch(f"{desk.guest.label}: it brought no initial model: start it again")
    body = sealed.fetch(desk.store, hello.initial)
    params = codec.decode(body)
    require_finite(params)
    unknown = sorted(set(hello.kept_home) - schema(params).keys())
    if unknown:
        raise RunMismatch(f"{desk.guest.label}: {unknown[0]} is kept home and not in the model")
    ref = sealed.reference(keys.model(desk.run, 0), body)
    desk.store.put_once(ref.key, body)
    return ref
