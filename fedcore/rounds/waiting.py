"""Waiting for an object to appear: with a deadline if there is one, and never in silence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.02, 0.5, 1.3
FIRST_WORD, NEXT_WORD = 60.0, 300.0
T = TypeVar("T")


def _silent(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Watch:
    """Time as it is handed in: a monotonic `clock`, a `pause`, and a voice for stuck waits."""

    clock: Callable[[], float]
    pause: Callable[[float], None]
    say: Callable[[str], None] = _silent

    def wait(
        self, probe: Callable[[], T | None], what: str, until: float | None = None
    ) -> T | None:
        """The first answer of `probe` that is not `None`; `None` once the clock passes `until`.

        Says after a minute, and then every five, what it waits for and how long already.
        """
        begun, pause, speak_at = self.clock(), FIRST_PAUSE, FIRST_WORD
        while (answer := probe()) is None:
            waited = self.clock() - begun
            if until is not None and self.clock() >= until:
                return None
            if waited >= speak_at:
                self.say(f"waiting for {what} for {waited:.0f} s")
                speak_at = waited + NEXT_WORD
            self.pause(pause)
            pause = min(pause * GROWTH, LONGEST_PAUSE)
        return answer
