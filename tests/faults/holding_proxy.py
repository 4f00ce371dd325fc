"""A line that falls silent at one exact request: what a process wanted next, it waits for."""

from __future__ import annotations

import re
import threading

from fault_connection import Request, Rule
from fault_proxy import FaultProxy


class HoldingProxy(FaultProxy):
    """`hold` freezes the whole line when a request comes; `mend` lets everything go on."""

    def __init__(self, upstream: str, port: int = 0, listen: str = "127.0.0.1") -> None:
        super().__init__(upstream, port, listen)
        self._pattern: re.Pattern[str] | None = None
        self._blocks = 0
        self._left: int | None = None
        self.reached = threading.Event()

    def hold(self, pattern: str, blocks: int = 0) -> None:
        """Fall silent before the request that matches, or once so many blocks of it have passed."""

        def arm() -> None:
            self._pattern, self._blocks, self._left = re.compile(pattern), blocks, None
            self.reached.clear()

        self._do(arm)

    def mend(self) -> None:
        """Put every switch back, and hold nothing more."""

        def disarm() -> None:
            self._pattern = self._left = None
            self.reached.clear()

        self._do(disarm)
        super().mend()

    def take_rule(self, request: Request) -> Rule | None:
        """As the proxy does, and see whether this is the request to be held."""
        if self._pattern is not None and self._pattern.search(str(request)):
            self._pattern, self._left = None, self._blocks
        return super().take_rule(request)

    async def let_pass(self, way: str, amount: int) -> None:
        """Stall when the held request has had its blocks."""
        if way == "up" and self._left is not None:
            if self._left == 0:
                self._left, self._line.stalled = None, True
                self.reached.set()
            else:
                self._left -= 1
        await super().let_pass(way, amount)
