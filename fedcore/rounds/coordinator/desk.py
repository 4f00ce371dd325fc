"""What the coordinator has on its desk: the run, the task, the exchange, its key and its ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from fedcore.audit.ledger import Ledger
from fedcore.audit.signing import SigningKey
from fedcore.config.base import Section
from fedcore.config.task import TaskFile
from fedcore.errors import Refused, RunMismatch
from fedcore.exchange import keys
from fedcore.exchange.store import ObjectStore
from fedcore.rounds import sealed
from fedcore.rounds.messages import Hello, Member, Refusal, Reply
from fedcore.rounds.signs import last_sign
from fedcore.rounds.terms import LOOK_EVERY, Fence, Unfenced
from fedcore.rounds.waiting import Watch

M = TypeVar("M", bound=Section)


def unseen(_: str) -> str:
    """Nothing is known of a party's session but what stands in the exchange."""
    return ""


class Welcomed:
    """The public keys that the ledger says parties were welcomed with, each entry read once."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._keys: dict[str, str] = {}
        self._read = 0

    def key(self, ledger: Ledger, party: str) -> str | None:
        """The party's, which stays what it is once it stands in the ledger."""
        return self._keys.get(party) or self.keys(ledger).get(party)

    def keys(self, ledger: Ledger) -> Mapping[str, str]:
        """By party id; several threads may ask."""
        found = ledger.of_kind("party_welcomed")
        for entry in found[self._read :]:
            self._keys[entry.subject["party"]] = entry.subject["key"]
        self._read = len(found)
        return self._keys


@dataclass(frozen=True)
class Desk:
    """`pinned` maps party ids to public keys that the party file demands of them.

    `fence` ends this process once another one acts for the coordinator; `seen` says of a party
    what its scheduler knows (empty if nothing).

    `memory` holds messages that were read and verified before: they are written once, so they
    need not be fetched again. `replies` are those of the round that was invited to last, `made` is
    the newest global model of this process, by its SHA-256, `looks` when who has not declined is to
    be looked at again.
    """

    run: str
    task: TaskFile
    members: tuple[Member, ...]
    store: ObjectStore
    key: SigningKey
    ledger: Ledger
    watch: Watch
    code_version: str
    pinned: Mapping[str, str] = field(default_factory=dict)
    memory: dict[str, Section] = field(default_factory=dict, repr=False, compare=False)
    replies: dict[str, Reply] = field(default_factory=dict, repr=False, compare=False)
    looks: dict[str, float] = field(default_factory=dict, repr=False, compare=False)
    made: dict[str, memoryview] = field(default_factory=dict, repr=False, compare=False)
    fence: Fence | Unfenced = field(default_factory=Unfenced)
    seen: Callable[[str], str] = unseen
    welcomed: Welcomed = field(default_factory=Welcomed, repr=False, compare=False)

    @property
    def guest(self) -> Member:
        """The party that makes the initial model."""
        return next(member for member in self.members if member.role == "guest")

    @property
    def quorum(self) -> int:
        """How many replies a round needs: by default all invited, or as many as close it."""
        federation = self.task.federation
        return federation.quorum or federation.buffer or self.seats

    @property
    def seats(self) -> int:
        """How many parties a round invites."""
        return self.task.federation.seats(len(self.members))

    def member(self, party: str) -> Member:
        """The member of that id."""
        return self._by_id[party]

    @cached_property
    def _by_id(self) -> Mapping[str, Member]:
        return {member.party_id: member for member in self.members}

    def last_seen(self, party: str) -> str:
        """What the party last did, for whoever waits for it."""
        sign = last_sign(self.store, keys.party_folder(party, self.run))
        return "; ".join(part for part in (sign, self.seen(party)) if part)

    def recall(self, key: str, kind: type[M], public: str) -> M | None:
        """The message at `key` if it is there, from memory where it was read before."""
        known = self.memory.get(key)
        if isinstance(known, kind):
            return known
        message = sealed.read_if_there(self.store, key, kind, public)
        if message is not None:
            self.memory[key] = message
        return message

    def public_key(self, party: str) -> str:
        """The party's key: as pinned, else the one it was welcomed with, else its hello's.

        A hello lies under the party's own prefix, where only its credentials can write; the
        ledger holds the key that was trusted on first use, and no other is accepted after that.
        """
        known = self._trusted_key(party)
        return known or sealed.writer_of(self.store, keys.hello(party, self.run))

    def _trusted_key(self, party: str) -> str | None:
        return self.pinned.get(party) or self.welcomed.key(self.ledger, party)

    def hello(self, party: str) -> Hello | None:
        """The party's hello once it is said; `Refused`, with a remedy, when it does not fit."""
        key = keys.hello(party, self.run)
        if key in self.memory or self.store.exists(key):
            hello = self.recall(key, Hello, self.public_key(party))
            if hello is not None:
                self._require_fit(party, hello)
            return hello
        return None

    def declined(self, party: str) -> Refusal | None:
        """The party's own word that it takes no part; `None` unless it stands and is the party's.

        Before its hello, whoever may write under the party's prefix speaks for it.
        """
        key = keys.refusal(party, self.run)
        if key not in self.memory and not self.store.exists(key):
            return None
        known = self._trusted_key(party)
        try:
            if known is None:
                said = self.store.exists(keys.hello(party, self.run))
                known = self.public_key(party) if said else sealed.writer_of(self.store, key)
            word = self.recall(key, Refusal, known)
        except Refused:  # signed by somebody else, or no refusal: not the party's word
            return None
        return word if word is not None and word.party == party else None

    def _declined_lately(self, party: str) -> Refusal | None:
        """`declined`, looked for once in a few seconds; a word that was heard counts at once."""
        now, heard = self.watch.clock(), keys.refusal(party, self.run) in self.memory
        if not heard and now < self.looks.get(party, now):
            return None
        word = self.declined(party)
        if word is None:
            self.looks[party] = now + LOOK_EVERY
        return word

    def refusal(self, party: str) -> str | None:
        """Why the party takes no part, as a word: its own refusal, or a hello that does not fit."""
        declined = self.declined(party)
        if declined is not None:
            return f"refused: {declined.reason}"
        try:
            self.hello(party)
        except Refused as refused:
            return refused.reason
        return None

    def hellos(self) -> dict[str, Hello]:
        """The hellos that count, by party id, sorted; the others' parties take no part.

        Raises `RunMismatch` for the guest's, without which there is no training.
        """
        found = {}
        for party in sorted(member.party_id for member in self.members):
            declined = self._declined_lately(party)
            if declined is not None:
                subject = {"party": party, "reason": f"refused: {declined.reason}"}
                self.ledger.append_once("party_refused", subject)
                continue
            try:
                hello = self.hello(party)
            except Refused as refused:
                if party == self.guest.party_id:
                    raise mismatch(self, party, refused) from None
                subject = {"party": party, "reason": refused.reason}
                self.ledger.append_once("party_refused", subject)
                continue
            if hello is not None:
                found[party] = hello
        return found

    def _require_fit(self, party: str, hello: Hello) -> None:
        """Raise `Refused` unless a hello is of this party and means the same training."""
        if hello.party != party:
            raise Refused("wrong_party", "start this party again with --run NAME")
        if hello.task_hash != self.task.fingerprint():
            raise Refused("wrong_task", "agree on one task file and start again")
        if not self.task.model.knows(hello.modality):
            raise Refused("other_modality", "name one of the task file's in its party file")
        if hello.initial is not None and hello.initial.key != keys.initial(party, self.run):
            raise Refused("wrong_key", "its initial model lies elsewhere; start it again")
        guest = self.guest.party_id
        guests = hello if party == guest else self.hello(guest)
        if guests is None:
            return
        if hello.classes != guests.classes:
            raise Refused(
                "other_classes",
                f"its classes are {list(hello.classes)}, the guest's are "
                f"{list(guests.classes)}; name data.classes in the task file",
            )
        if hello.kept_home != guests.kept_home:
            raise Refused("other_network", "it keeps other parameters at home; update fedcore")

    def known_keys(self) -> dict[str, str]:
        """The public keys of all parties that were welcomed by now or are pinned."""
        return {**self.welcomed.keys(self.ledger), **self.pinned}


def mismatch(desk: Desk, party: str, refused: Refused) -> RunMismatch:
    """A hello that does not fit, as the sentence that ends the run."""
    return RunMismatch(f"{desk.member(party).label}: its hello is refused ({refused})")
