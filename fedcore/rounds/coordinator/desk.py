"""What the coordinator has on its desk: the run, the task, the exchange, its key and its ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedcore.audit.ledger import Ledger
from fedcore.audit.signing import SigningKey
from fedcore.config.task import TaskFile
from fedcore.errors import Refused, RunMismatch
from fedcore.exchange import keys
from fedcore.exchange.store import ObjectStore
from fedcore.rounds import sealed
from fedcore.rounds.messages import Hello, Member
from fedcore.rounds.waiting import Watch


@dataclass(frozen=True)
class Desk:
    """`pinned` maps party ids to public keys that the party file demands of them."""

    run: str
    task: TaskFile
    members: tuple[Member, ...]
    store: ObjectStore
    key: SigningKey
    ledger: Ledger
    watch: Watch
    code_version: str
    pinned: Mapping[str, str] = field(default_factory=dict)

    @property
    def guest(self) -> Member:
        """The party that makes the initial model."""
        return next(member for member in self.members if member.role == "guest")

    def member(self, party: str) -> Member:
        """The member of that id."""
        return next(member for member in self.members if member.party_id == party)

    def public_key(self, party: str) -> str:
        """The party's key: as pinned, else the one that signed its write-once hello.

        A hello lies under the party's own prefix, where only its credentials can write.
        """
        pinned = self.pinned.get(party)
        return pinned or sealed.writer_of(self.store, keys.hello(party, self.run))

    def hello(self, party: str) -> Hello | None:
        """The party's hello once it has said it; `RunMismatch` when it means another run."""
        key = keys.hello(party, self.run)
        if not self.store.exists(key):
            return None
        name = self.member(party).label
        try:
            hello = sealed.read(self.store, key, Hello, self.public_key(party))
        except Refused as refused:
            raise RunMismatch(
                f"{name}: its hello is refused ({refused}): check the party's public_key and keys"
            ) from None
        if (hello.run, hello.party) != (self.run, party):
            raise RunMismatch(f"{name}: its hello is of another run or party: start it again")
        if hello.task_hash != self.task.fingerprint():
            raise RunMismatch(f"{name}: it holds another task file: agree on one and start again")
        return hello

    def hellos(self) -> dict[str, Hello]:
        """All hellos said so far, by party id, sorted."""
        found = {member.party_id: self.hello(member.party_id) for member in self.members}
        return {party: hello for party, hello in sorted(found.items()) if hello is not None}
