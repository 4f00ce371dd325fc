"""From a flow run's parameters to the coordinator's seat: task, run, parties, first weights."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fedcore.audit.signing import SigningKey
from fedcore.config import load_task_file
from fedcore.config.task import TaskFile, parse_task_file
from fedcore.errors import InputError, ModelError, NotThere, Unreachable, nearest, problem
from fedcore.exchange import keys
from fedcore.exchange.opening import open_store
from fedcore.exchange.store import ObjectStore
from fedcore.rounds import sealed
from fedcore.rounds.identity import run_id
from fedcore.rounds.messages import Agreement, Member
from fedcore.rounds.waiting import Watch
from flows.hub import registry
from flows.hub.home import Hub
from flows.hub.reading import let_members_read
from flows.hub.registry import PartyEntry
from flows.weights import IN_EXCHANGE, resolve
from tasks.seat import COORDINATOR, Seat, patient

T = TypeVar("T")
FORM = "the flow run's task_file"


@dataclass(frozen=True)
class Wish:
    """What a flow run asks for; without `run` the name follows from task file and parties."""

    task_file: str | Mapping[str, Any]
    run: str | None = None
    parties: Sequence[str] | None = None
    weights: str | None = None


def read_task(task_file: str | Mapping[str, Any]) -> tuple[TaskFile, Path]:
    """The task from a file's name or its content, and the place that relative paths start from."""
    if not isinstance(task_file, str):
        return parse_task_file(json.dumps(task_file), FORM), Path(FORM)
    if "\n" in task_file or task_file.lstrip().startswith("{"):
        return parse_task_file(task_file, FORM), Path(FORM)
    path = Path(task_file).expanduser()
    return load_task_file(path), path


def take_seat(hub: Hub, wish: Wish, watch: Watch) -> Seat:
    """The coordinator's seat of a training, saved in the hub; the exchange is waited for.

    From then on the members can read the run in the exchange. A run that was founded before goes
    on as it was founded: with its parties and first weights.
    """
    task, path = read_task(wish.task_file)
    store = patient(open_store(hub.exchange, hub.exchange_environ()), watch)
    joined = _insist(store, lambda: registry.joined(hub))
    founded = _founded(hub, store, wish.run) if wish.run else None
    if founded is not None and _same(founded, wish.parties):
        run, members = founded.run, founded.parties
    else:
        members = _members(_chosen(joined, wish.parties))
        run = run_id(task, [one.party_id for one in members], wish.run)
        founded = _founded(hub, store, run)
    seat = Seat(
        run=run,
        owner=COORDINATOR,
        task=_with_weights(hub, store, run, task, path, founded, wish.weights),
        members=members,
        exchange=hub.exchange,
        state=str(hub.home),
        pinned=_keys_of(hub, members),
        tracking_uri=hub.mlflow_url,
    )
    seat.save()
    _let_read(hub, store, seat)
    return seat


def _let_read(hub: Hub, store: ObjectStore, seat: Seat) -> None:
    """Open the run to its members."""
    members = [one.party_id for one in seat.members]
    _insist(store, lambda: let_members_read(hub, seat.run, members))


def _insist(store: ObjectStore, act: Callable[[], T]) -> T:
    """What `act` gives that holds the registry, which is free while the exchange is waited for."""
    while True:
        store.prepare()
        with contextlib.suppress(Unreachable):
            return act()


def _same(founded: Agreement, wanted: Sequence[str] | None) -> bool:
    """Whether a run that stands goes on: its parties stay, also one that was revoked since."""
    return wanted is None or {one.party_id for one in founded.parties} == set(wanted)


def _keys_of(hub: Hub, members: Sequence[Member]) -> dict[str, str]:
    """The public keys by which the members joined."""
    known = {one.party_id: one.public_key for one in registry.entries(hub)}
    found = {member.party_id: known.get(member.party_id) for member in members}
    return {party: key for party, key in found.items() if key}


def _chosen(joined: Sequence[PartyEntry], wanted: Sequence[str] | None) -> list[PartyEntry]:
    """The joined parties that take part; `InputError` for one that did not join."""
    known = {one.party_id: one for one in joined}
    if not known:
        remedy = "run fedcore party invite, and have each hospital run fedcore party join"
        raise InputError(f"no party has joined this coordinator yet: {remedy}")
    for name in wanted or ():
        if name not in known:
            remedy = f"name parties that joined ({nearest(name, known)})"
            raise InputError(problem("flow run", "parameter parties", name, remedy))
    return [known[name] for name in sorted(wanted or known)]


def _members(entries: Sequence[PartyEntry]) -> tuple[Member, ...]:
    """The members by id; exactly one of them is the guest, who brings the initial model."""
    guests = [one.party_id for one in entries if one.role == "guest"]
    if len(guests) != 1:
        remedy = "train with exactly one party that was invited as guest"
        raise InputError(problem("flow run", "guests among the parties", guests, remedy))
    return tuple(Member(party_id=one.party_id, role=one.role) for one in entries)


def _founded(hub: Hub, store: ObjectStore, run: str) -> Agreement | None:
    """What the run was founded with, if this coordinator founded it before."""
    store.prepare()
    public = SigningKey.load(hub.coordinator_key_path).public
    try:
        return sealed.read(store, keys.agreement(run), Agreement, public)
    except NotThere:
        return None


def _with_weights(
    hub: Hub,
    store: ObjectStore,
    run: str,
    task: TaskFile,
    path: Path,
    founded: Agreement | None,
    weights: str | None,
) -> TaskFile:
    """The task with its first weights in the exchange, where the guest can read them."""
    task = _starting_from(task, weights) if weights else task
    if founded is not None:
        agreed = parse_task_file(json.dumps(founded.task), "the agreed task")
        both = bool(agreed.model.weights) == bool(task.model.weights)
        if both and _starting_from(agreed, None) == _starting_from(task, None):
            return agreed
    body = _first_weights(hub, store, run, task, path)
    if body is None:
        return task
    digest = hashlib.sha256(body).hexdigest()[:16]
    key = keys.require_key(f"{keys.coordinator_folder(run)}start-{digest}.safetensors")
    store.put_once(key, body)
    return _starting_from(task, f"{IN_EXCHANGE}{key}")


def _first_weights(
    hub: Hub, store: ObjectStore, run: str, task: TaskFile, path: Path
) -> bytes | None:
    """What `model.weights` names, from file, MLflow or exchange; `None` where it names nothing."""
    named = task.model.weights or ""
    if named.startswith(IN_EXCHANGE):
        return _object(store, named, path)
    found = resolve(task, path, hub.mlflow_url, hub.home / "runs" / run / "weights")
    return None if found is None else found.read_bytes()


def _object(store: ObjectStore, named: str, path: Path) -> bytes:
    """An object of the exchange, which the members could read otherwise only if it is the run's.

    What a party sent is for the coordinator alone: it is not shown to the others in this way.
    """
    key = keys.require_key(named.removeprefix(IN_EXCHANGE))
    if key.startswith((keys.PARTIES, keys.GROUPS)):
        remedy = "what a party sent is not for the others: name an object of the coordinator's"
        raise ModelError(problem(path, "model.weights", named, remedy))
    try:
        return store.get(key)
    except NotThere:
        remedy = "there is no such object in the exchange: put it there or correct the key"
        raise ModelError(problem(path, "model.weights", named, remedy)) from None


def _starting_from(task: TaskFile, weights: str | None) -> TaskFile:
    model = task.model.model_copy(update={"weights": weights})
    return task.model_copy(update={"model": model})
