"""What a deployed session needs before it may sit down: who it is, and the gate of its hospital.

Read from the party's home folder, which `fedcore party join` made; nothing here loads torch.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fedcore.audit.ledger import Ledger
from fedcore.audit.signing import SigningKey
from fedcore.config.party import Address, PartyFile, load_party_file, parse_address
from fedcore.config.policy import Policy, load_policy
from fedcore.errors import InputError, PartyFileError
from fedcore.exchange.opening import open_store
from fedcore.exchange.store import ObjectStore
from fedcore.rounds.consent import Gate
from fedcore.rounds.identity import RUN_NAME
from fedcore.rounds.waiting import Watch
from tasks.seat import patient
from tasks.voices import voice_of


@dataclass(frozen=True)
class Doorstep:
    """A party's home and the run that asks; `home` is absolute."""

    home: Path
    run: str
    file: PartyFile

    @classmethod
    def of(cls, home: str, run: str) -> Self:
        """Read the home's party file; raises `InputError` for a home or a run that is none."""
        if not RUN_NAME.fullmatch(run):
            raise InputError(f"run {run[:80]!r}: use up to 63 letters, digits, - and _")
        place = Path(home).expanduser().absolute()
        file = load_party_file(place / "party_config.json")
        if file.coordinator is None or file.coordinator.exchange is None:
            remedy = "take the file that fedcore party join wrote"
            raise PartyFileError(
                f"{place / 'party_config.json'}: coordinator.exchange is missing: {remedy}"
            )
        return cls(place, run, file)

    @property
    def party(self) -> str:
        """The party's id."""
        return self.file.local.id

    @property
    def seat_path(self) -> Path:
        """Where the seat of an admitted training lies, and under which its voice is attached."""
        return self.home / "runs" / self.run / f"party-{self.party}.json"

    @property
    def data(self) -> Path:
        """The folder that the party file names."""
        return self.home / (self.file.local.data or "data")

    @property
    def pretrain(self) -> Path | None:
        """The folder of public images that the party file names, if any."""
        named = self.file.local.pretrain
        return None if named is None else self.home / named

    @property
    def exchange(self) -> Address:
        """Where all meet."""
        known = self.file.coordinator
        address = parse_address((known.exchange if known else None) or "", self.home)
        if address.kind == "s3":
            return address
        return Address("folder", str(self.home / address.location))

    def policy(self) -> Policy:
        """The home's policy, with the defaults that the party file gives filled in."""
        policy, known = load_policy(self.home / "policy.yaml"), self.file.coordinator
        trusted = (known.public_key,) if known else ()
        folders = policy.data if policy.data is not None else (str(self.data),)
        return policy.model_copy(
            update={
                "coordinators": trusted if policy.coordinators is None else policy.coordinators,
                "data": tuple(str(self.home / folder) for folder in folders),
            }
        )

    def key(self) -> SigningKey:
        """The party's signing key, made when it joined."""
        return SigningKey.load(self.home / "keys" / f"party-{self.party}.key")

    def ledger(self) -> Ledger:
        """The party's ledger of this run, the same that its seat uses."""
        path = self.home / "runs" / self.run / "ledger" / f"party-{self.party}.jsonl"
        return Ledger(path, self.key(), time.time)

    def gate(self, environ: Mapping[str, str] = os.environ) -> Gate:
        """The gate, open to the exchange by the credentials in `environ`."""
        watch = voice_of(str(self.seat_path)).watch()
        return Gate(
            run=self.run,
            party=self.party,
            policy=self.policy(),
            data=self.data,
            store=self._store(watch, environ),
            key=self.key(),
            ledger=self.ledger(),
            watch=watch,
            approvals=self.home / "approvals",
            command=f"fedcore party approve --home {shlex.quote(str(self.home))}",
        )

    def _store(self, watch: Watch, environ: Mapping[str, str]) -> ObjectStore:
        return patient(open_store(self.exchange, environ), watch)
