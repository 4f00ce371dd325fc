"""A seat: what one process needs to take its side of a run, as a small file without secrets.

Tasks are given the seat's path, open what they need, and keep it for the process's lifetime.
Keys and credentials are never in it: keys lie beside it in files of mode 600, credentials come
from the environment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import Field

from fedcore.audit.durable import replace_with
from fedcore.audit.ledger import Ledger
from fedcore.audit.signing import SigningKey
from fedcore.config.base import Section
from fedcore.config.party import Address
from fedcore.config.policy import Policy, Transfer
from fedcore.config.task import TaskFile
from fedcore.exchange.opening import open_store
from fedcore.exchange.reconnecting import Reconnecting
from fedcore.exchange.store import ObjectStore
from fedcore.exchange.throttle import Throttle
from fedcore.rounds.messages import Member
from fedcore.rounds.waiting import Watch

COORDINATOR = "coordinator"
BYTES_PER_MBIT = 1_000_000 / 8
RECONNECT = 5.0  # seconds between two tries


class Seat(Section):
    """`owner` is `coordinator` or a party id; folders are this machine's own.

    `policy` is the hospital's, as it let the training in; without one the task file decides.
    """

    run: str
    owner: str
    task: TaskFile
    members: tuple[Member, ...]
    exchange: Address
    state: str
    data: str | None = None
    output: str | None = None
    weights: str | None = None
    pretrain: str | None = None
    modality: str | None = None
    pinned: dict[str, str] = Field(default_factory=dict)
    coordinator_key: str | None = None
    policy: Policy | None = None
    reconnect_interval: float = RECONNECT
    tracking_uri: str | None = None

    @property
    def folder(self) -> Path:
        """This machine's working folder."""
        return Path(self.state)

    @property
    def name(self) -> str:
        """How the owner's files are called."""
        return self.owner if self.owner == COORDINATOR else f"party-{self.owner}"

    @property
    def path(self) -> Path:
        """Where the seat itself is kept."""
        return self.folder / "runs" / self.run / f"{self.name}.json"

    @property
    def ledger_path(self) -> Path:
        """The owner's ledger of this run."""
        return self.folder / "runs" / self.run / "ledger" / f"{self.name}.jsonl"

    @property
    def key_path(self) -> Path:
        """The owner's signing key; the same in every run."""
        return self.folder / "keys" / f"{self.name}.key"

    def save(self) -> str:
        """Write the seat; its path as text, the only thing that flows and tasks are told."""
        replace_with(self.path, [self.model_dump_json(indent=1).encode()])
        return str(self.path)

    @classmethod
    def load(cls, path: str) -> Seat:
        """Read a seat that `save` wrote."""
        return cls.model_validate_json(Path(path).read_bytes())

    def member(self, party: str) -> Member:
        """The member of that id."""
        return next(member for member in self.members if member.party_id == party)

    def key(self) -> SigningKey:
        """The owner's key, made on first use."""
        return SigningKey.load_or_create(self.key_path, os.urandom)

    def ledger(self) -> Ledger:
        """The owner's ledger, verified as it opens."""
        return Ledger(self.ledger_path, self.key(), time.time)

    def store(self, watch: Watch, environ: Mapping[str, str] = os.environ) -> ObjectStore:
        """The exchange; while it cannot be reached, it is tried again every interval.

        Transfers keep to the hours and the bandwidth that the hospital's policy names.
        """
        inner = open_store(self.exchange, environ, self._throttle(watch))
        return patient(inner, watch, self.reconnect_interval)

    def _throttle(self, watch: Watch) -> Throttle:
        agreed = self.policy.transfer if self.policy else Transfer()
        rate = agreed.mbit_per_second
        return Throttle(
            agreed.minutes,
            rate and rate * BYTES_PER_MBIT,
            clock=watch.clock,
            pause=watch.pause,
            say=watch.say,
        )


def patient(store: ObjectStore, watch: Watch, interval: float = RECONNECT) -> ObjectStore:
    """The store, tried again every `interval` seconds while it cannot be reached."""
    return Reconnecting(store, interval, Complaint(watch.say, interval), watch.pause, watch.clock)


class Complaint:
    """Says that the exchange is away: at once, and then ever more rarely."""

    def __init__(self, say: Callable[[str], None], interval: float) -> None:
        """Speak through `say` of tries that are `interval` seconds apart."""
        self._say, self._interval, self._next = say, interval, 0.0

    def __call__(self, reason: str, seconds: float) -> None:
        """Hear that the exchange has been away for `seconds`."""
        if seconds == 0:
            self._next = 0.0
        if seconds < self._next:
            return
        self._next = max(2 * seconds, 10.0)
        self._say(
            f"the exchange cannot be reached for {seconds:.0f} s, trying again every "
            f"{self._interval:g} s: {reason}"
        )
