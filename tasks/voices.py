"""Who hears what a side has to say while it works: a terminal, a parent process, or nobody.

Flows attach a voice to a seat before they start; desks speak through it. It also hands in time.
"""

from __future__ import annotations

import time
from typing import Any

from fedcore.rounds.waiting import Watch


class Voice:
    """Hears nothing and sleeps for real; the base of the others.

    `patient`: at the end of a training, wait for services that are away instead of ending.
    """

    patient = False

    def say(self, message: str) -> None:
        """A sentence for the person who watches: what is waited for, what is tried again."""

    def tell(self, event: str, **details: Any) -> None:
        """Something that happened, with numbers and names: `round`, `progress`, ..."""

    def pause(self, seconds: float) -> None:
        """Let time pass; may raise to end a wait that has become pointless."""
        time.sleep(seconds)

    def watch(self) -> Watch:
        """This voice as a `Watch`."""
        return Watch(time.monotonic, self.pause, self.say)


_ATTACHED: dict[str, Voice] = {}


def attach(seat: str, voice: Voice) -> None:
    """Let `voice` speak for the seat of that path in this process."""
    _ATTACHED[seat] = voice


def voice_of(seat: str) -> Voice:
    """The seat's voice; a silent one where none is attached (on a worker, say)."""
    return _ATTACHED.setdefault(seat, Voice())
