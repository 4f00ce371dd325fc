"""Simulated worlds whose owners always have the same keys, and what two of them are compared by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rounds_story import Time, hospitals, key_of, task_file

from fedcore.data.cohort import Cohort, open_cohort
from fedcore.exchange.memory import MemoryStore
from fedcore.exchange.removed import Removal
from fedcore.exchange.store import ObjectStore
from fedcore.params import digest
from fedcore.simulation import Outcome, World


class KnownKeys(World):
    """A world whose owners always have the same keys, so that runs can be compared bit by bit."""

    def key(self, owner: str):
        return key_of(owner)


class Kept(MemoryStore):
    """An exchange that a test looks into afterwards: what is removed from it stays all the same."""

    def forget(self, key: str, note: bytes) -> None:
        self.size(key)


def world(folder: Path, store: MemoryStore | None = None) -> World:
    time = Time()
    return KnownKeys(folder, store or Kept(), time.watch(), wall_clock=time.clock)


def is_removed(store: ObjectStore, key: str) -> bool:
    """Whether only a note stands there."""
    return Removal.read(store.get(key)) is not None


def opened(folder: Path, names: tuple[str, ...] = ("1", "2")) -> Mapping[str, Cohort]:
    """The cohorts of small hospitals."""
    return {
        name: open_cohort(data, task_file(), folder / f"state-{name}")
        for name, data in hospitals(folder, names).items()
    }


def bits(outcome: Outcome) -> tuple[str, str]:
    return digest(outcome.best), digest(outcome.final)


def stories(outcome: Outcome) -> dict[str, list]:
    return {owner: ledger.story() for owner, ledger in outcome.ledgers.items()}
