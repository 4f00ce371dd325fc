"""Waiting for an object to appear: with a deadline if there is one, and never in silence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from fedcore.errors import NoRoom

FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.05, 0.5, 1.25
FIRST_WORD, NEXT_WORD = 60.0, 300.0
ROOM_PAUSE = 5.0
MINUTE, HOUR = 60, 3600
T = TypeVar("T")


def silent(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Watch:
    """Time as it is handed in: a monotonic `clock`, a `pause`, and a voice for stuck waits."""

    clock: Callable[[], float]
    pause: Callable[[float], None]
    say: Callable[[str], None] = silent

    def wait(
        self,
        probe: Callable[[], T | None],
        what: str,
        until: float | None = None,
        last: Callable[[], str] | None = None,
    ) -> T | None:
        """The first answer of `probe` that is not `None`; `None` once the clock passes `until`.

        Says after a minute, and then every five, what it waits for, how long already, and, by
        `last`, what was last seen of whom it waits for.
        """
        begun, pause, speak_at = self.clock(), FIRST_PAUSE, FIRST_WORD
        while (answer := probe()) is None:
            waited = self.clock() - begun
            if until is not None and self.clock() >= until:
                return None
            if waited >= speak_at:
                seen = f"; {last()}" if last is not None else ""
                self.say(f"waiting for {what} for {in_words(waited)}{seen}")
                speak_at = waited + NEXT_WORD
            self.pause(pause)
            pause = min(pause * GROWTH, LONGEST_PAUSE)
        return answer


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
