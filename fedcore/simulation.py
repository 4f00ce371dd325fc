"""The same verbs in one process: no Prefect, no server, objects in memory.

For trying a task file out, for tests, and for asking whether the scheduled form does the same:
the same task file, data and keys give the same weights to the bit and the same ledgers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import fedcore
from fedcore.audit.ledger import Ledger
from fedcore.audit.signing import SigningKey
from fedcore.config.task import TaskFile
from fedcore.data.cohort import open_cohort
from fedcore.data.cohort_record import Cohort
from fedcore.exchange import codec
from fedcore.exchange.memory import MemoryStore
from fedcore.exchange.store import ObjectStore
from fedcore.models.catalogue import build
from fedcore.params import Params
from fedcore.rounds import coordinator, party, sealed
from fedcore.rounds.identity import run_id
from fedcore.rounds.messages import End, Hello, Member, Record
from fedcore.rounds.statistics_messages import PooledStatistics
from fedcore.rounds.waiting import Watch


@dataclass(frozen=True)
class Outcome:
    """What a training made: its end, its rounds, its models, and everybody's ledger."""

    end: End
    records: Sequence[Record]
    hellos: Mapping[str, Hello]
    best: Params
    final: Params
    ledgers: Mapping[str, Ledger]
    statistics: PooledStatistics | None = None


@dataclass(frozen=True)
class World:
    """What a simulation takes from outside; every part can be replaced.

    `stores` holds, by owner, what reaches the exchange otherwise than `store`.
    """

    workdir: Path
    store: ObjectStore = field(default_factory=MemoryStore)
    watch: Watch = field(default_factory=lambda: Watch(time.monotonic, time.sleep))
    wall_clock: Callable[[], float] = time.time
    random: Callable[[int], bytes] = os.urandom
    on_record: Callable[[Record], None] = lambda _: None
    stores: Mapping[str, ObjectStore] = field(default_factory=dict)

    def store_of(self, owner: str) -> ObjectStore:
        """The exchange as the owner reaches it."""
        return self.stores.get(owner, self.store)

    def key(self, owner: str) -> SigningKey:
        """The owner's signing key, made on first use."""
        return SigningKey.load_or_create(self.workdir / "keys" / f"{owner}.key", self.random)

    def ledger(self, owner: str) -> Ledger:
        """The owner's ledger."""
        path = self.workdir / "ledger" / f"{owner}.jsonl"
        return Ledger(path, self.key(owner), self.wall_clock)


def simulate(
    task: TaskFile,
    folders: Mapping[str, Path],
    world: World,
    *,
    guest: str | None = None,
    run: str | None = None,
    weights: Path | None = None,
) -> Outcome:
    """Train on `folders` (party id -> data folder); the guest is the first party unless named.

    Raises what the parties and the coordinator raise: `ContractBroken`, `QuorumNotMet`, ...
    """
    cohorts = {
        owner: open_cohort(folder, task, world.workdir / "cache" / owner)
        for owner, folder in folders.items()
    }
    return simulate_cohorts(task, cohorts, world, guest=guest, run=run, weights=weights)


def simulate_cohorts(
    task: TaskFile,
    cohorts: Mapping[str, Cohort],
    world: World,
    *,
    guest: str | None = None,
    run: str | None = None,
    weights: Path | None = None,
) -> Outcome:
    """`simulate` for data that is open already."""
    first = guest or next(iter(cohorts))
    members = tuple(
        Member(party_id=owner, role="guest" if owner == first else "host")
        for owner in sorted(cohorts)
    )
    name = run_id(task, cohorts, run)
    lead = _coordinator_desk(task, members, name, world)
    desks = [_party_desk(task, one, name, cohorts[one.party_id], world) for one in members]
    coordinator.found(lead)
    for desk in desks:
        party.join(desk)
        party.greet(desk, weights)
        party.tell_statistics(desk)
    _train(lead, desks, world)
    return _outcome(lead, desks)


def _train(lead: coordinator.Desk, desks: Sequence[party.Desk], world: World) -> None:
    """Round after round until the last, or until nothing improves; then the final test."""
    coordinator.welcome(lead)
    coordinator.gather_statistics(lead)
    model = coordinator.adopt_initial_model(lead)
    done = coordinator.records(lead)
    while coordinator.goes_on(lead, done):
        begun, number = world.watch.clock(), len(done) + 1
        coordinator.invite(lead, number, done[-1].model if done else model)
        _answer_all(desks)
        answers = {desk.party: coordinator.ask(lead, number, desk.party) for desk in desks}
        coordinator.require_quorum(lead, number, answers)
        coordinator.combine(lead, number, answers)
        _answer_all(desks)
        done.append(coordinator.record(lead, number, world.watch.clock() - begun))
        world.on_record(done[-1])
    coordinator.request_final_test(lead)
    _answer_all(desks)
    coordinator.conclude(lead)


def _answer_all(desks: Sequence[party.Desk]) -> None:
    """Let every party do the one thing that is asked of it now."""
    for desk in desks:
        request = party.next_request(desk, until=desk.watch.clock())
        if request is None:  # answered before an interruption
            continue
        if request.kind == "train":
            party.train(desk, request.round)
            party.upload(desk, request.round)
        elif request.kind == "score":
            party.score(desk, request.round)
        elif request.kind == "test":
            party.score_final(desk)


def _coordinator_desk(
    task: TaskFile, members: tuple[Member, ...], run: str, world: World
) -> coordinator.Desk:
    return coordinator.Desk(
        run=run,
        task=task,
        members=members,
        store=world.store_of("coordinator"),
        key=world.key("coordinator"),
        ledger=world.ledger("coordinator"),
        watch=world.watch,
        code_version=fedcore.__version__,
    )


def _party_desk(
    task: TaskFile, member: Member, run: str, cohort: Cohort, world: World
) -> party.Desk:
    spool = world.workdir / "spool" / run / member.party_id
    spool.mkdir(parents=True, exist_ok=True)
    return party.Desk(
        run=run,
        task=task,
        member=member,
        store=world.store_of(member.party_id),
        key=world.key(f"party-{member.party_id}"),
        ledger=world.ledger(f"party-{member.party_id}"),
        watch=world.watch,
        code_version=fedcore.__version__,
        cohort=cohort,
        network=build(task.model, task.seed, inputs=task.inputs),
        spool=spool,
    )


def _outcome(lead: coordinator.Desk, desks: Sequence[party.Desk]) -> Outcome:
    end = coordinator.conclude(lead)
    owners = {"coordinator": lead.ledger} | {f"party-{desk.party}": desk.ledger for desk in desks}
    return Outcome(
        end=end,
        records=coordinator.records(lead),
        hellos=lead.hellos(),
        best=codec.decode(sealed.fetch(lead.store, end.best)),
        final=codec.decode(sealed.fetch(lead.store, end.final)),
        ledgers=owners,
        statistics=coordinator.pooled(lead),
    )
