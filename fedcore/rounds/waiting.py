"""Waiting for an object to appear: with a deadline if there is one, and never in silence."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from fedcore.errors import NoRoom

FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.05, 0.5, 1.25
# Of what waits of a kind took lately: so many are remembered, so much of the shortest is slept
# through at once, and such a part of it is the first pause after that.
REMEMBERED, SURE, FINE = 3, 0.75, 0.04
LONGEST_SLEEP = 5.0
FIRST_WORD, NEXT_WORD = 60.0, 300.0
ROOM_PAUSE = 5.0
MINUTE, HOUR = 60, 3600
T = TypeVar("T")


def silent(_: str) -> None:
    """Say nothing."""


class Rhythm:
    """How long waits of a kind took lately: one round is much like the one before it.

    Each look costs a request, so nobody looks before there can be anything to see. The first wait
    of a kind is like no other: processes start in it, and a cohort is read from its files.
    """

    def __init__(self) -> None:
        """Nothing was waited for by now."""
        self._lately: dict[str, deque[float]] = {}

    def usual(self, kind: str) -> float:
        """Seconds that the shortest of the latest waits took; 0 where none is known."""
        return min(self._lately.get(kind, ()), default=0.0)

    def note(self, kind: str, seconds: float) -> None:
        """A wait of that kind took so long; one without a kind is like no other."""
        if kind in self._lately:
            self._lately[kind].append(seconds)
        elif kind:
            self._lately[kind] = deque(maxlen=REMEMBERED)


@dataclass(frozen=True)
class Watch:
    """Time as it is handed in: a monotonic `clock`, a `pause`, and a voice for stuck waits."""

    clock: Callable[[], float]
    pause: Callable[[float], None]
    say: Callable[[str], None] = silent
    rhythm: Rhythm = field(default_factory=Rhythm, repr=False, compare=False)

    def wait(
        self,
        probe: Callable[[], T | None],
        what: str,
        until: float | None = None,
        last: Callable[[], str] | None = None,
        kind: str = "",
    ) -> T | None:
        """The first answer of `probe` that is not `None`; `None` once the clock passes `until`.

        Says after a minute, and then every five, what it waits for, how long already, and, by
        `last`, what was last seen of whom it waits for. Of a `kind` of wait that comes again and
        again, most of what it took lately is slept through, with a look every five seconds.
        """
        begun, waited, speak_at = self.clock(), 0.0, FIRST_WORD
        pauses = self._pauses(kind)
        while (answer := probe()) is None:
            waited = self.clock() - begun
            if until is not None and self.clock() >= until:
                return None
            if waited >= speak_at:
                seen = f"; {last()}" if last is not None else ""
                self.say(f"waiting for {what} for {in_words(waited)}{seen}")
                speak_at = waited + NEXT_WORD
            self._pause_until(next(pauses), until)
        # It came between the last look in vain and this one: whoever slept too long sleeps less.
        self.rhythm.note(kind, (waited + self.clock() - begun) / 2)
        return answer

    def _pauses(self, kind: str) -> Iterator[float]:
        """How long to pause after each look in vain."""
        usual = self.rhythm.usual(kind)
        sure = usual * SURE
        while sure > FIRST_PAUSE:
            yield min(sure, LONGEST_SLEEP)
            sure -= LONGEST_SLEEP
        pause = min(max(FIRST_PAUSE, usual * FINE), LONGEST_PAUSE)
        while True:
            yield pause
            pause = min(pause * GROWTH, LONGEST_PAUSE)

    def _pause_until(self, seconds: float, until: float | None) -> None:
        """Pause, not longer than up to the deadline."""
        left = seconds if until is None else until - self.clock()
        self.pause(min(seconds, max(left, FIRST_PAUSE)))


def with_room(act: Callable[[], T], watch: Watch) -> T:
    """What `act` gives, tried again while this machine's disk is full; nothing is lost by it."""
    begun, speak_at = watch.clock(), 0.0
    while True:
        try:
            return act()
        except NoRoom as full:
            waited = watch.clock() - begun
            if waited >= speak_at:
                watch.say(f"{full} (it goes on by itself; waited for {in_words(waited)})")
                speak_at = waited + FIRST_WORD
        watch.pause(ROOM_PAUSE)


def in_words(seconds: float) -> str:
    """A length of time as a person says it: 45 s, 12 min, 3 h 5 min."""
    whole = round(seconds)
    if whole < 2 * MINUTE:
        return f"{whole} s"
    if whole < 2 * HOUR:
        return f"{whole // MINUTE} min"
    return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
