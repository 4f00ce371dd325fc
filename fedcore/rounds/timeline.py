"""Time as a simulation has it: who trains how long, and who is done first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from fedcore.config.federation import FederationSection
from fedcore.errors import InputError
from fedcore.rounds.waiting import Watch, silent


@dataclass
class VirtualClock:
    """A clock in seconds that moves only when somebody waits or an event comes."""

    now: float = 0.0

    def read(self) -> float:
        """The present moment."""
        return self.now

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def watch(self, say: Callable[[str], None] = silent) -> Watch:
        """This clock as a `Watch`."""
        return Watch(self.read, self.pause, say)


@dataclass
class Timeline:
    """Parties at their training: `seconds` is how long a training lasts, by party id.

    What is older than `max_staleness` rounds when it is done is dropped, and its party begins anew.
    """

    seconds: Mapping[str, float]
    max_staleness: int | None = None
    clock: VirtualClock = field(default_factory=VirtualClock)
    _busy: dict[str, tuple[float, int]] = field(default_factory=dict)
    _round: int = 0

    def open(self, number: int, parties: Iterable[str]) -> None:
        """Round `number` is open: whoever trains goes on with it, everybody else begins now."""
        self._round = number
        for party in parties:
            self._busy.setdefault(party, (self.clock.now + self.seconds[party], number))

    @property
    def at_work(self) -> bool:
        """Whether anybody trains."""
        return bool(self._busy)

    def next_done(self) -> tuple[str, int]:
        """Move on to the next end of a training: whose, and of which round.

        Of several at one moment the earliest begun, then the first party id.
        """
        while True:
            party = min(self._busy, key=lambda one: (*self._busy[one], one))
            moment, number = self._busy.pop(party)
            self.clock.now = max(self.clock.now, moment)
            if self.max_staleness is None or self._round - number <= self.max_staleness:
                return party, number
            self.open(self._round, [party])

    def replay(self, number: int, parties: Iterable[str], heard: Iterable[str]) -> None:
        """A round that is over: as `open`, until all who were `heard` in it are done."""
        self.open(number, parties)
        missing = set(heard)
        while missing:
            missing.discard(self.next_done()[0])


def timeline_of(
    federation: FederationSection, images: Mapping[str, int], speeds: Mapping[str, float]
) -> Timeline:
    """How long each party trains, by its training images and its speed; no time without speeds."""
    odd = sorted(speeds.keys() ^ images.keys()) if speeds else []
    if odd:
        raise InputError(f"World.speeds: party {odd[0]} is on one side only: name every party")
    seconds = {
        owner: speeds.get(owner, 0.0) * federation.images_per_round(count)
        for owner, count in images.items()
    }
    return Timeline(seconds, federation.max_staleness)
