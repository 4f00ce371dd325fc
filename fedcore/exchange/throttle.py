"""How fast and at which hours large objects may travel: a bandwidth limit and an upload window.

The stores ask a `Throttle` before every block and before every part. Small signed messages (up to
`SMALL` bytes) never wait for the window: a hello, a score or a reply leaves at once; what waits is
the update. Both directions keep to the rate; only uploads keep to the hours.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

SMALL = 64 << 10
DAY = 24 * 60 * 60.0
# While the window is closed, the clock is looked at again after this: it may be set, or change.
LOOK_AGAIN, SAY_AGAIN = 60.0, 3600.0
LEAST_BLOCK = 1 << 10
Minutes = tuple[int, int]


def opens_in(window: Minutes, second: float) -> float:
    """Seconds until the window is open, 0 while it is: from its first minute up to its last.

    `window` is begin and end in minutes after midnight, the end before the begin where midnight
    lies between; `second` counts from midnight.
    """
    begin, end = 60.0 * window[0], 60.0 * window[1]
    inside = begin <= second < end if begin < end else not end <= second < begin
    return 0.0 if inside else (begin - second) % DAY


def second_of_day(moment: float) -> float:
    """Seconds after midnight, on this machine's clock, at `moment` (seconds since 1970)."""
    local = time.localtime(moment)
    return local.tm_hour * 3600 + local.tm_min * 60 + local.tm_sec + moment % 1


class Rate:
    """Lets bytes pass no faster than a limit; idle time earns no credit.

    What has passed since the first call is never more than the limit times the seconds since, and
    between any two moments at most one block more.
    """

    def __init__(
        self,
        bytes_per_second: float | None,
        clock: Callable[[], float],
        pause: Callable[[float], None],
    ) -> None:
        """No limit at all with `None`."""
        self._rate, self._clock, self._pause = bytes_per_second, clock, pause
        self._due = float("-inf")
        self._lock = threading.Lock()

    def __call__(self, amount: int) -> None:
        """Return once `amount` bytes may pass."""
        if self._rate is None or amount <= 0:
            return
        with self._lock:
            self._due = max(self._clock(), self._due) + amount / self._rate
            due = self._due
        while (left := due - self._clock()) > 0:
            self._pause(left)


def _silent(_: str) -> None:
    """Say nothing."""


class Throttle:
    """What a store keeps to; without arguments nothing is held back."""

    def __init__(
        self,
        window: Minutes | None = None,
        bytes_per_second: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
        wall: Callable[[], float] = time.time,
        say: Callable[[str], None] = _silent,
    ) -> None:
        """`window` as in `opens_in`; `pause` may raise to give up; `say` hears of closed hours."""
        self._window, self._rate = window, bytes_per_second
        self._pause, self._wall, self._say = pause, wall, say
        self.up = Rate(bytes_per_second, clock, pause)
        self.down = Rate(bytes_per_second, clock, pause)

    def block(self, usual: int) -> int:
        """How much to send or read at once: little where it is slow, so that bytes keep coming."""
        if self._rate is None:
            return usual
        return max(LEAST_BLOCK, min(usual, int(self._rate / 4)))

    def await_window(self, key: str, size: int) -> None:
        """Return once `size` bytes may begin to leave."""
        if self._window is None or size <= SMALL:
            return
        said = 0.0
        while (left := opens_in(self._window, second_of_day(self._wall()))) > 0:
            if said <= 0:
                self._say(_closed(self._window, key, left))
                said = SAY_AGAIN
            nap = min(left, LOOK_AGAIN)
            self._pause(nap)
            said -= nap


def _closed(window: Minutes, key: str, left: float) -> str:
    begin, end = (f"{minute // 60:02d}:{minute % 60:02d}" for minute in window)
    wait = f"{int(left // 3600)} h {int(left % 3600 // 60)} min"
    return (
        f"{key} waits until {begin}, for {wait}: the hospital's policy lets large objects leave "
        f"from {begin} to {end} only (transfer.window)"
    )
