"""Joining: say hello with what the party brings; the guest brings the initial model too."""

from __future__ import annotations

import json
from pathlib import Path

from fedcore.config.task import differences, parse_task_file
from fedcore.errors import (
    ModelError,
    NotAllowed,
    NotThere,
    Refused,
    RunMismatch,
    TaskFileError,
    problem,
)
from fedcore.exchange import codec, keys
from fedcore.models.state import replaceable_names, to_params, views
from fedcore.models.weights import read_weights
from fedcore.params import Params, schema
from fedcore.rounds import sealed
from fedcore.rounds.messages import Agreement, Hello
from fedcore.rounds.party.desk import Desk
from fedcore.rounds.party.pretraining import pretrained
from fedcore.training.freezing import require_freezable
from fedcore.training.plan import plan_for

# Seconds after which a party looks whether the guest founded a similar run with another task file.
PATIENCE = 5.0


def join(desk: Desk) -> Agreement:
    """Wait for the run to be founded; its founder's key is trusted from then on."""
    key = keys.agreement(desk.run)

    def founded() -> bool | None:
        return desk.store.exists(key) or None

    what = f"the guest to found run {desk.run}"
    if not desk.watch.wait(founded, what, desk.watch.clock() + PATIENCE):
        _say_other_runs(desk)
        desk.watch.wait(founded, what)
    desk.remember_coordinator(sealed.writer_of(desk.store, key))
    agreement = sealed.read(desk.store, key, Agreement, desk.coordinator_key())
    require_same_task(desk, agreement)
    return agreement


def _say_other_runs(desk: Desk) -> None:
    """Tell apart "nobody is there" from "the guest runs another task file with me"."""
    try:
        known = desk.store.keys("coordinator/")
    except NotAllowed:  # these credentials see the trainings alone that invite the party
        return
    for key in known:
        run = key.split("/")[1]
        if key != keys.agreement(run) or desk.store.exists(keys.end(run)):
            continue
        try:
            agreement = sealed.read(desk.store, key, Agreement, None)
            difference = _first_difference(desk, agreement)
        except (Refused, TaskFileError):  # of another version, or nobody's: not ours to judge
            continue
        if desk.party in {member.party_id for member in agreement.parties}:
            desk.watch.say(
                f"run {run} is open and invites this party, but it is another training "
                f"({difference}): use the same two files as the guest to join it"
            )


def require_same_task(desk: Desk, agreement: Agreement) -> None:
    """Raise `RunMismatch`, naming the first differing field, unless both hold the same task."""
    if agreement.task_hash != desk.task.fingerprint():
        raise RunMismatch(
            f"task file: {_first_difference(desk, agreement)}: agree on one task file"
        )
    if desk.party not in {member.party_id for member in agreement.parties}:
        ids = ", ".join(member.party_id for member in agreement.parties)
        raise RunMismatch(
            f"party file: local.party_id is {desk.party!r}, the guest invited {ids}: correct it"
        )


def greet(desk: Desk, weights: Path | None = None) -> Hello:
    """Say hello, once: counts and fingerprints of the data, never the data.

    The guest also puts the initial model into the exchange: fresh from the task file's seed, or
    from `weights` (a file) or the exchange object that `model.weights` names; then trained on
    its public images, if the task has that stage.
    """
    _require_something_shared(desk)
    require_freezable(desk.network, plan_for(desk.task), desk.modality)
    body = None
    if desk.member.role == "guest":
        body = codec.encode(pretrained(desk, _initial_params(desk, weights)))
    initial = keys.initial(desk.party, desk.run)
    hello = Hello(
        run=desk.run,
        party=desk.party,
        role=desk.member.role,
        task_hash=desk.task.fingerprint(),
        contract_hash=desk.cohort.contract_hash,
        code_version=desk.code_version,
        classes=desk.cohort.classes,
        patients=desk.cohort.train.patients,
        images=len(desk.cohort.train),
        quarantine=dict(sorted(desk.cohort.quarantine.items())),
        modality=desk.modality,
        kept_home=tuple(sorted(desk.home)),
        initial=None if body is None else sealed.reference(initial, body),
    )
    _require_unchanged(desk, hello)
    subject = {"task": hello.task_hash, "data": hello.contract_hash}
    desk.ledger.append_once("job_accepted", {"run": desk.run, **subject})
    if body is not None and hello.initial is not None:
        desk.note_departure("initial model", hello.initial)
        sealed.put_hashed(desk.store, hello.initial, body)
    desk.send("hello", keys.hello(desk.party, desk.run), hello)
    return hello


def _require_something_shared(desk: Desk) -> None:
    """Raise `ModelError` where the strategy keeps all of the network at home."""
    if desk.shared:
        return
    name = desk.task.model.name
    remedy = f"it leaves nothing of {name} to learn together: choose another strategy or network"
    strategy = desk.task.federation.strategy
    raise ModelError(problem("the task file", "federation.strategy", strategy, remedy))


def _require_unchanged(desk: Desk, hello: Hello) -> None:
    """A hello that stands already must be ours, word for word."""
    key = keys.hello(desk.party, desk.run)
    said = _said(desk, key)
    if said is None or said == hello:
        return
    if said.contract_hash != hello.contract_hash:
        raise RunMismatch(
            f"{desk.member.label}: the data changed since run {desk.run} began (contract "
            f"{said.contract_hash[:12]}, now {hello.contract_hash[:12]}): put the files back, or "
            "start a new training with --run NAME at every party"
        )
    raise RunMismatch(
        f"{desk.member.label}: run {desk.run} began with another version or another initial "
        "model: go on with that one, or start a new training with --run NAME at every party"
    )


def _said(desk: Desk, key: str) -> Hello | None:
    try:
        return sealed.read_if_there(desk.store, key, Hello, desk.key.public)
    except Refused as refused:
        raise RunMismatch(
            f"{desk.member.label}: somebody else said hello in run {desk.run} ({refused.reason}): "
            "use the output folder that holds this party's key, or start a new training with "
            "--run NAME at every party"
        ) from None


def _initial_params(desk: Desk, weights: Path | None) -> Params:
    # A stage before the first round changes the network.
    fresh = views(desk.network) if desk.task.pretrain is None else to_params(desk.network)
    named = desk.task.model.weights
    if named is None:
        return fresh
    source: bytes | Path | None = weights
    if named.startswith("exchange:"):
        source = _exchange_weights(desk, named.removeprefix("exchange:"))
    if source is None:
        remedy = (
            "the party was handed no such file: with fedcore.simulation give its path as weights"
        )
        raise ModelError(problem("the task file", "model.weights", named, remedy))
    replaceable = replaceable_names(desk.network)
    loaded = read_weights(source, schema(fresh), replaceable=replaceable, where=named)
    return {**fresh, **loaded.params}


def _exchange_weights(desk: Desk, key: str) -> bytes:
    try:
        return desk.store.get(key)
    except NotThere:
        raise ModelError(
            f"the task file: model.weights is 'exchange:{key}': there is no such object in the "
            "exchange: put it there or correct the key"
        ) from None


def task_of(agreement: Agreement) -> dict[str, object]:
    """The agreed task as flat fields."""
    return parse_task_file(json.dumps(agreement.task), "the agreed task").flat()


def _first_difference(desk: Desk, agreement: Agreement) -> str:
    fields = differences(desk.task.flat(), task_of(agreement))
    return fields[0] if fields else "the party files name other parties"
