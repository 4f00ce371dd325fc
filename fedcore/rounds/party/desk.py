"""What a party has on its desk: the run, its data, its network, its key, ledger and spool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from fedcore.audit.durable import replace_with
from fedcore.audit.entry import Subject
from fedcore.audit.ledger import Ledger
from fedcore.audit.signing import SigningKey
from fedcore.config.base import Section
from fedcore.config.policy import EVERYTHING, Leaving
from fedcore.config.task import TaskFile
from fedcore.data.cohort_record import Cohort
from fedcore.errors import RunMismatch
from fedcore.exchange.store import ObjectStore
from fedcore.models.sharing import home_names, shared_names
from fedcore.models.state import Network, schema_of
from fedcore.params import Schema
from fedcore.rounds import departure
from fedcore.rounds.messages import Invitation, LedgerHead, Member, ObjectRef
from fedcore.rounds.party.near import Near
from fedcore.rounds.party.said import Said
from fedcore.rounds.terms import Fence, Unfenced
from fedcore.rounds.waiting import Watch


def unheard(phase: str, done: int, total: int, loss: float | None) -> None:
    """Progress that nobody listens to."""


@dataclass(frozen=True)
class Desk:
    """`spool` is this party's own working folder for the run; nothing in it leaves.

    `fence` ends this process once another one acts for the party; `leaving` says what the
    hospital's policy lets leave; `public` opens the guest's public images for pretraining;
    `modality` is what its images are, in cross-modal trainings; `near` is what this process need
    not read again, `heard` the newest invitation as it was verified, `said` what it has answered
    by now; `lasting` says whether the exchange outlives this process: where it does not, an update
    that waits for it need not survive a power cut, and lies in memory if the exchange does.
    """

    run: str
    task: TaskFile
    member: Member
    store: ObjectStore
    key: SigningKey
    ledger: Ledger
    watch: Watch
    code_version: str
    cohort: Cohort
    network: Network
    spool: Path
    progress: Callable[[str, int, int, float | None], None] = unheard
    pinned_coordinator: str | None = None
    fence: Fence | Unfenced = field(default_factory=Unfenced)
    leaving: Leaving = EVERYTHING
    public: Callable[[], Cohort] | None = None
    modality: str | None = None
    near: Near = field(default_factory=Near)
    heard: dict[str, Invitation] = field(default_factory=dict, repr=False, compare=False)
    said: Said = field(default_factory=Said, repr=False, compare=False)
    lasting: bool = True

    @property
    def party(self) -> str:
        """This party's id."""
        return self.member.party_id

    @property
    def seen_task(self) -> TaskFile:
        """The task as this party trains it: with the input size of its own modality."""
        return self.task.seen_by(self.modality)

    @cached_property
    def schema(self) -> Schema:
        """Names, dtypes and shapes of the whole model."""
        return schema_of(self.network)

    @cached_property
    def home(self) -> frozenset[str]:
        """The names of the parameters that never leave this party."""
        return home_names(self.network, self.task.federation)

    @cached_property
    def shared(self) -> tuple[str, ...]:
        """The names of the parameters that travel between this party and the others."""
        return shared_names(self.network, self.task.federation, self.modality)

    def coordinator_key(self) -> str:
        """The public key that founded the run, as pinned by `remember_coordinator`."""
        return (self.spool / "coordinator.pub").read_text(encoding="ascii")

    def remember_coordinator(self, public: str) -> None:
        """Trust the pinned key, or the founder's on first sight; `RunMismatch` for another."""
        pinned = self.pinned_coordinator
        if pinned is not None and public != pinned:
            raise RunMismatch(
                f"party file: coordinator.public_key is {pinned[:12]}..., and run {self.run} was "
                f"founded by {public[:12]}...: ask the coordinator by telephone whether its key "
                "changed, and refuse it if not"
            )
        path = self.spool / "coordinator.pub"
        if path.exists() and path.read_text(encoding="ascii") != public:
            raise RunMismatch(
                f"run {self.run}: the coordinator's key {public[:12]} is not the one seen before: "
                "ask the guest whether it lost its keys, and start a new run with --run"
            )
        replace_with(path, [public.encode("ascii")], lasting=self.lasting)

    def send(self, kind: str, key: str, message: Section) -> None:
        """Let a signed message leave the hospital: into the ledger first, then the exchange."""
        self.said.begin(key)
        departure.send(self.store, self.ledger, self.key, kind, key, message)
        self.said.done(key)

    def note_departure(self, kind: str, ref: ObjectRef) -> LedgerHead:
        """Write into the ledger what is about to leave; the head of the ledger at that entry."""
        return departure.head_at(departure.note_departure(self.ledger, kind, ref))

    def note(self, kind: str, subject: Subject) -> LedgerHead:
        """Write something down once; the head of the ledger at that entry."""
        return departure.head_at(self.ledger.append_once(kind, subject))
