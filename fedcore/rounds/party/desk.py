"""What a party has on its desk: the run, its data, its network, its key, ledger and spool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fedcore.audit.durable import replace_with
from fedcore.audit.ledger import Ledger
from fedcore.audit.signing import SigningKey
from fedcore.config.base import Section
from fedcore.config.task import TaskFile
from fedcore.data.cohort import Cohort
from fedcore.errors import RunMismatch
from fedcore.exchange.store import ObjectStore
from fedcore.models.state import Network
from fedcore.rounds import sealed
from fedcore.rounds.messages import Member, ObjectRef
from fedcore.rounds.waiting import Watch


def unheard(phase: str, done: int, total: int, loss: float | None) -> None:
    """Progress that nobody listens to."""


@dataclass(frozen=True)
class Desk:
    """`spool` is this party's own working folder for the run; nothing in it leaves."""

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

    @property
    def party(self) -> str:
        """This party's id."""
        return self.member.party_id

    def coordinator_key(self) -> str:
        """The public key that founded the run, as pinned by `remember_coordinator`."""
        return (self.spool / "coordinator.pub").read_text(encoding="ascii")

    def remember_coordinator(self, public: str) -> None:
        """Trust the founder's key on first sight; `RunMismatch` if it ever changes."""
        path = self.spool / "coordinator.pub"
        if path.exists() and path.read_text(encoding="ascii") != public:
            raise RunMismatch(
                f"run {self.run}: the coordinator's key {public[:12]} is not the one seen before: "
                "ask the guest whether it lost its keys, and start a new run with --run"
            )
        replace_with(path, [public.encode("ascii")])

    def send(self, kind: str, key: str, message: Section) -> None:
        """Let a signed message leave the hospital: into the ledger first, then the exchange."""
        body = sealed.seal_message(message, self.key)
        self.note_departure(kind, sealed.reference(key, body))
        self.store.put_once(key, body)

    def note_departure(self, kind: str, ref: ObjectRef) -> None:
        """Write into the ledger what is about to leave: object, size, hash, kind."""
        subject = {"object": kind, "key": ref.key, "size": ref.size, "sha256": ref.sha256}
        self.ledger.append_once("left", subject)
