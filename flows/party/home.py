"""A party's home: the folder at a hospital that `fedcore party join` made, and what lies in it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fedcore.audit.ledger import Ledger
from fedcore.audit.signing import SigningKey
from fedcore.config.party import Address, CoordinatorRef, PartyFile, load_party_file, parse_address
from fedcore.errors import InputError, PartyFileError
from flows.secrets_file import read_secrets

DEFAULT_HOME = Path("hospital")
PARTY_FILE = "party_config.json"
MEMBERSHIP = "_membership"  # no training can be called so
NEEDED = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "PREFECT_API_AUTH_STRING")


@dataclass(frozen=True)
class PartyHome:
    """`home` is absolute; everything of the party lies below it, but perhaps its data."""

    home: Path
    file: PartyFile
    coordinator: CoordinatorRef

    @classmethod
    def load(cls, home: Path) -> Self:
        """Read the home's party file; a sentence says what is missing or wrong."""
        place = home.expanduser().absolute()
        path = place / PARTY_FILE
        if not path.exists():
            raise InputError(
                f"{place}: this is no party's home ({PARTY_FILE} is not in it): run "
                "fedcore party join KIT, or name the folder with --home"
            )
        file = load_party_file(path)
        if file.coordinator is None or file.coordinator.exchange is None:
            raise PartyFileError(
                f"{path}: coordinator.exchange is missing: take the file that "
                "fedcore party join wrote"
            )
        return cls(place, file, file.coordinator)

    @property
    def party_id(self) -> str:
        """The party's id as text."""
        return self.file.local.id

    @property
    def role(self) -> str:
        """`guest` or `host`."""
        return self.file.local.role

    @property
    def label(self) -> str:
        """Role and id, as shown to a person: `host-munich`."""
        return self.file.local.label

    @property
    def data(self) -> Path:
        """The party's data folder; what the party file names, relative to the home."""
        return self.home / (self.file.local.data or "data")

    @property
    def exchange(self) -> Address:
        """Where all meet; a folder is relative to the home."""
        address = parse_address(self.coordinator.exchange or "", self.party_file)
        if address.kind == "s3":
            return address
        return Address("folder", str(self.home / address.location))

    @property
    def coordinator_key(self) -> str:
        """The only public key whose agreements and invitations are obeyed, in hex."""
        return self.coordinator.public_key

    @property
    def prefect_url(self) -> str:
        """The URL of the coordinator's Prefect API."""
        return self.coordinator.prefect or ""

    @property
    def pool(self) -> str:
        """The Prefect work pool that this party's worker serves."""
        return f"party-{self.party_id}"

    @property
    def party_file(self) -> Path:
        """The party file itself."""
        return self.home / PARTY_FILE

    @property
    def policy_path(self) -> Path:
        """What the hospital allows."""
        return self.home / "policy.yaml"

    @property
    def key_path(self) -> Path:
        """The party's signing key, where `Seat.key_path` looks for it."""
        return self.home / "keys" / f"party-{self.party_id}.key"

    @property
    def membership_path(self) -> Path:
        """The ledger of what left in no training, where a run called `_membership` would have it.

        It goes with the key that signs it.
        """
        return self.home / "runs" / MEMBERSHIP / "ledger" / f"{self.key_path.stem}.jsonl"

    def membership(self, key: SigningKey) -> Ledger:
        """That ledger, verified as it opens; `LedgerBroken` if it is not what `key` signed."""
        return Ledger(self.membership_path, key, time.time)

    @property
    def secrets_path(self) -> Path:
        """Credentials for exchange and Prefect, of mode 600."""
        return self.home / "secrets.env"

    @property
    def approvals(self) -> Path:
        """The folder of what the hospital approved, a file for each run."""
        return self.home / "approvals"

    @property
    def worker(self) -> Path:
        """The folder of the worker: Prefect's own home, process ids, logs."""
        return self.home / "worker"

    @property
    def ca(self) -> Path | None:
        """Certificates of the authority behind exchange and Prefect; `None`: the system's."""
        path = self.home / "ca.pem"
        return path if path.is_file() else None

    def environ(self) -> dict[str, str]:
        """All variables that the party's processes need beside those of the machine."""
        secrets = read_secrets(self.secrets_path)
        missing = next((name for name in NEEDED if not secrets.get(name)), None)
        if missing:
            remedy = "run fedcore party join KIT again"
            raise InputError(f"{self.secrets_path}: {missing} is missing: {remedy}")
        return {
            **secrets,
            **self._certificates(),
            "PREFECT_API_URL": self.prefect_url,
            "PREFECT_HOME": str(self.worker / "prefect"),
        }

    def _certificates(self) -> dict[str, str]:
        names = ("AWS_CA_BUNDLE", "PREFECT_API_SSL_CERT_FILE", "SSL_CERT_FILE")
        return {} if self.ca is None else dict.fromkeys(names, str(self.ca))
