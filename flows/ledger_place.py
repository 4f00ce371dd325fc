"""Where ledgers lie on this machine: in an output folder, a party's home, or a coordinator's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from fedcore.audit.signing import SigningKey
from fedcore.config.party import Address
from fedcore.errors import InputError, nearest, problem
from flows.hub.home import FILE as HUB_FILE
from flows.hub.home import Hub
from flows.launch import STATE
from flows.party.home import MEMBERSHIP, PARTY_FILE, PartyHome
from tasks.seat import COORDINATOR, Seat


@dataclass(frozen=True)
class Place:
    """`state` holds `runs/` and `keys/`; `results` is where heads were left beside the results.

    `environ` opens the exchange; `exchange` and `coordinator` are known where the home names them.
    """

    name: Path
    state: Path
    results: Path
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    exchange: Address | None = None
    coordinator: str | None = None

    def run(self, name: str | None) -> RunFolder:
        """The run of that name, or the only one; raises `InputError`."""
        folder = self.state / "runs"
        known = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        if not known:
            raise InputError(
                f"{self.name}: no run was ever here: name a training's folder with --output, "
                "or a home with --home"
            )
        trainings = [one for one in known if one != MEMBERSHIP]
        if name is None and len(trainings) > 1:
            raise InputError(f"{self.name}: it holds several runs: name one: {', '.join(known)}")
        if name is not None and name not in known:
            raise InputError(problem(self.name, "run", name, nearest(name, known)))
        return RunFolder(self, name or (trainings or known)[0])


@dataclass(frozen=True)
class RunFolder:
    """A run's working folder on this machine."""

    place: Place
    name: str

    @property
    def path(self) -> Path:
        """Where the run's own files lie."""
        return self.place.state / "runs" / self.name

    def ledgers(self) -> list[Path]:
        """The run's ledger files, sorted; raises `InputError` when there are none."""
        found = sorted((self.path / "ledger").glob("*.jsonl"))
        if not found:
            raise InputError(f"{self.path}: the run has no ledger here: name another run")
        return found

    def ledger_of(self, party: str | None) -> Path:
        """The ledger of that party, or the only party's; raises `InputError`."""
        known = {path.stem: path for path in self.ledgers()}
        parties = sorted(name.removeprefix("party-") for name in known if name != COORDINATOR)
        if party is None and len(parties) == 1:
            return known[f"party-{parties[0]}"]
        if party is None:
            raise InputError(f"{self.path}: name a party with --party: {', '.join(parties)}")
        if f"party-{party}" not in known:
            raise InputError(problem(self.path, "party", party, nearest(party, parties)))
        return known[f"party-{party}"]

    def public_key(self, owner: str) -> str:
        """The public key of the ledger's owner; raises `InputError`."""
        return SigningKey.load(self.place.state / "keys" / f"{owner}.key").public

    def exchange(self) -> Address | None:
        """Where the run's parties meet; `None` if nothing here says it."""
        return self.place.exchange or next((one.exchange for one in self._seats()), None)

    def coordinator_key(self) -> str | None:
        """The key that signs the run's records; `None` if nothing here says it."""
        own = self.place.state / "keys" / f"{COORDINATOR}.key"
        if own.exists():
            return SigningKey.load(own).public
        pinned = (one.coordinator_key for one in self._seats() if one.coordinator_key)
        seen = (path.read_text("ascii") for path in self.path.glob("spool/*/coordinator.pub"))
        return self.place.coordinator or next(pinned, None) or next(seen, None)

    def _seats(self) -> Iterator[Seat]:
        for path in sorted(self.path.glob("*.json")):
            try:
                yield Seat.load(str(path))
            except (OSError, ValidationError):  # of another version, or no seat
                continue


def place_at(output: Path, home: Path | None, environ: Mapping[str, str] = os.environ) -> Place:
    """The output folder, or the home if one is named; raises `InputError` for no home."""
    if home is None:
        return Place(output, output / STATE, output, environ)
    if (home / PARTY_FILE).exists():
        return _party_place(home, environ)
    if (home / HUB_FILE).exists():
        hub = Hub.load(home)
        reach = {**environ, **hub.exchange_environ()}
        return Place(home, hub.home, hub.home, reach, hub.exchange)
    raise InputError(
        f"{home}: this is neither a party's home nor a coordinator's ({PARTY_FILE} or "
        f"{HUB_FILE} would be in it): name another folder with --home"
    )


def _party_place(home: Path, environ: Mapping[str, str]) -> Place:
    party = PartyHome.load(home)
    try:
        reach = {**environ, **party.environ()}
    except InputError:  # ledgers can be read without credentials
        reach = dict(environ)
    return Place(home, party.home, party.home, reach, party.exchange, party.coordinator_key)
