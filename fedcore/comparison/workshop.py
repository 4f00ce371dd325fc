"""Where a comparison keeps things: what stays, what all cells share, what is under way."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from fedcore.comparison.plan import Cell

PREPARED = "prepared.json"
PUBLIC = "public images"  # stands among the parties; no party id has a space
STATE = ".fedcore"


@dataclass(frozen=True)
class Workshop:
    """Folders: `output` for what stays; inside it `state`, the cache and the cells under way."""

    output: Path

    @property
    def state(self) -> Path:
        """The working folder."""
        return self.output / STATE

    def cache(self, party: str) -> Path:
        """A party's index and preprocessed images, shared by all cells."""
        return self.state / "cache" / party

    def bench(self, cell: Cell) -> Path:
        """Exchange, keys, ledgers and spools of a cell under way."""
        return self.state / "work" / cell.name


def prepared(workshop: Workshop) -> dict[str, dict[str, int | str]]:
    """What an earlier `prepare` found; nothing where there was none."""
    path = workshop.state / PREPARED
    known: dict[str, dict[str, int | str]] = json.loads(path.read_bytes()) if path.exists() else {}
    return known


def data_hash(workshop: Workshop) -> str:
    """One hash of all that the parties train on, after `prepare`."""
    contracts = [f"{party} {one['contract']}" for party, one in sorted(prepared(workshop).items())]
    return hashlib.sha256("|".join(contracts).encode()).hexdigest()
