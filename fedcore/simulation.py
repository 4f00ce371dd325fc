"""The same verbs in one process: no Prefect, no server, objects in memory.

For trying a task file out, for tests, and for asking whether the scheduled form does the same:
the same task file, data and keys give the same weights to the bit and the same ledgers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import fedcore
from fedcore.audit.ledger import Ledger
from fedcore.audit.signing import SigningKey
from fedcore.config.task import TaskFile
from fedcore.data.cohort_record import Cohort
from fedcore.exchange import codec
from fedcore.exchange.memory import MemoryStore
from fedcore.exchange.store import ObjectStore
from fedcore.models.catalogue import build
from fedcore.models.state import Network
from fedcore.params import Params
from fedcore.rounds import coordinator, heap, party, sealed
from fedcore.rounds.coordinator.asking import REPLIED
from fedcore.rounds.identity import run_id
from fedcore.rounds.messages import NOT_INVITED, TRAINING, End, Hello, Member, Record
from fedcore.rounds.statistics_messages import PooledStatistics
from fedcore.rounds.timeline import Timeline, timeline_of
from fedcore.rounds.waiting import Watch
from fedcore.training.pretraining import stage_task


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

    `stores` holds, by owner, what reaches the exchange otherwise than `store`. `speeds` gives, by
    party id, how many seconds a party trains on one image: then a clock of the simulation's own
    is the watch, training alone takes time, and a record's `seconds` are of that clock.
    """

    workdir: Path
    store: ObjectStore = field(default_factory=lambda: MemoryStore(keeps=False))
    watch: Watch = field(default_factory=lambda: Watch(time.monotonic, time.sleep))
    wall_clock: Callable[[], float] = time.time
    random: Callable[[int], bytes] = os.urandom
    on_record: Callable[[Record], None] = lambda _: None
    stores: Mapping[str, ObjectStore] = field(default_factory=dict)
    speeds: Mapping[str, float] = field(default_factory=dict)
    near: party.Near = field(default_factory=lambda: party.Near(most=2))

    @property
    def lasting(self) -> bool:
        """Whether the exchange is to survive this process, or a power cut."""
        stores = (self.store, *self.stores.values())
        return not self.near.shared or any(one.own is None for one in stores)

    def store_of(self, owner: str) -> ObjectStore:
        """The exchange as the owner reaches it."""
        return self.stores.get(owner, self.store)

    def key(self, owner: str) -> SigningKey:
        """The owner's signing key, made on first use."""
        return SigningKey.load_or_create(self.workdir / "keys" / f"{owner}.key", self.random)

    def ledger(self, owner: str) -> Ledger:
        """The owner's ledger."""
        path = self.workdir / "ledger" / f"{owner}.jsonl"
        return Ledger(path, self.key(owner), self.wall_clock, lasting=self.lasting)


def simulate(
    task: TaskFile,
    folders: Mapping[str, Path],
    world: World,
    *,
    guest: str | None = None,
    run: str | None = None,
    weights: Path | None = None,
    public: Path | None = None,
    modalities: Mapping[str, str] = MappingProxyType({}),
) -> Outcome:
    """Train on `folders` (party id -> data folder); the guest is the first party unless named.

    `public` is the guest's folder of public images, for a task with `pretrain`; `modalities` says
    of each party what its images are, where the task file names modalities. Raises what the
    parties and the coordinator raise: `ContractBroken`, `QuorumNotMet`, ...
    """
    from fedcore.data.cohort import cohort_of, open_cohort  # noqa: PLC0415 (loads the decoders)

    cohorts = {
        owner: cohort_of(
            owner, folder, task.seen_by(modalities.get(owner)), world.workdir / "cache" / owner
        )
        for owner, folder in folders.items()
    }
    opened = None
    if public is not None and task.pretrain is not None:
        opened = open_cohort(public, stage_task(task), world.workdir / "cache" / "pretrain")
    return simulate_cohorts(
        task,
        cohorts,
        world,
        guest=guest,
        run=run,
        weights=weights,
        public=opened,
        modalities=modalities,
    )


def simulate_cohorts(
    task: TaskFile,
    cohorts: Mapping[str, Cohort],
    world: World,
    *,
    guest: str | None = None,
    run: str | None = None,
    weights: Path | None = None,
    public: Cohort | None = None,
    modalities: Mapping[str, str] = MappingProxyType({}),
) -> Outcome:
    """`simulate` for data that is open already."""
    images = {owner: len(cohort.train) for owner, cohort in cohorts.items()}
    timeline = timeline_of(task.federation, images, world.speeds)
    if world.speeds:
        world = replace(world, watch=timeline.clock.watch(world.watch.say))
    first = guest or next(iter(cohorts))
    roles = {owner: "guest" if owner == first else "host" for owner in sorted(cohorts)}
    members = tuple(Member(party_id=owner, role=role) for owner, role in roles.items())
    name = run_id(task, cohorts, run)
    lead = _coordinator_desk(task, members, name, world)
    # Each step at a party begins with loading weights, so all parties can share a network.
    networks = {
        one: build(task.model, task.seed, modality=one, inputs=task.inputs)
        for one in {modalities.get(member.party_id) for member in members}
    }
    desks = [
        _party_desk(task, one, name, cohorts, world, public, modalities.get(one.party_id), networks)
        for one in members
    ]
    with heap.kept(), ExitStack() as at_the_end:
        for ledger in (lead.ledger, *(desk.ledger for desk in desks)):
            at_the_end.callback(ledger.flush)
        coordinator.found(lead)
        for desk in desks:
            party.join(desk)
            party.greet(desk, weights)
            party.tell_statistics(desk)
        _train(lead, {desk.party: desk for desk in desks}, world, timeline)
        return _outcome(lead, desks)


def _train(
    lead: coordinator.Desk, desks: Mapping[str, party.Desk], world: World, timeline: Timeline
) -> None:
    """Round after round until the last, or until nothing improves; then the final test."""
    coordinator.welcome(lead)
    coordinator.gather_statistics(lead)
    model = coordinator.adopt_initial_model(lead)
    done, newest = coordinator.records(lead), dict[str, str]()
    for one in done:
        said = {owner: told.status for owner, told in one.parties.items()}
        invited = [owner for owner in said if said[owner] != NOT_INVITED]
        timeline.replay(one.round, invited, [who for who in invited if said[who] != TRAINING])
    while coordinator.goes_on(lead, done):
        begun, number = world.watch.clock(), len(done) + 1
        asked = coordinator.invite(lead, number, done[-1].model if done else model).parties
        answers = _answers(lead, {one: desks[one] for one in asked}, number, timeline)
        coordinator.require_quorum(lead, number, answers)
        coordinator.combine(lead, number, answers)
        _answer_all((desks[one] for one in desks if answers.get(one) != TRAINING), number)
        done.append(coordinator.record(lead, number, world.watch.clock() - begun))
        coordinator.forget_replaced(lead, done, newest)
        world.on_record(done[-1])
    coordinator.request_final_test(lead)
    _answer_all(desks.values())
    coordinator.conclude(lead)


def _answers(
    lead: coordinator.Desk, desks: Mapping[str, party.Desk], number: int, timeline: Timeline
) -> dict[str, str]:
    """Let one party after the other end its training, until the round has the replies it needs."""
    timeline.open(number, desks)
    buffer = lead.task.federation.buffer
    answers: dict[str, str] = {}
    while timeline.at_work and list(answers.values()).count(REPLIED) != buffer:
        owner, trained_in = timeline.next_done()
        if buffer is None:
            _answer_all([desks[owner]], number)
            answers[owner] = coordinator.ask(lead, number, owner)
        else:
            _answer_open_round(desks[owner], trained_in, number)
            answers[owner] = coordinator.hear(lead, number, owner)
    return {**dict.fromkeys(desks, TRAINING), **answers} if buffer else answers


def _answer_open_round(desk: party.Desk, trained_in: int, number: int) -> None:
    """Train as was asked in one round, and send the update into the one that is open now."""
    for one in sorted({trained_in, number}):
        party.train(desk, one)
        party.upload(desk, one)


def _answer_all(desks: Iterable[party.Desk], number: int = 0) -> None:
    """Let every party do the one thing that is asked of it now; rounds before are over."""
    for desk in desks:
        request = party.next_request(desk, number, until=desk.watch.clock())
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
    task: TaskFile,
    member: Member,
    run: str,
    cohorts: Mapping[str, Cohort],
    world: World,
    public: Cohort | None,
    modality: str | None,
    networks: Mapping[str | None, Network],
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
        cohort=cohorts[member.party_id],
        network=networks[modality],
        spool=spool,
        public=(lambda: public) if public is not None else None,
        modality=modality,
        near=world.near,
        lasting=world.lasting,
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
