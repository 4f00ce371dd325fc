"""A line to Prefect that waits out every absence of its server, for as long as it takes.

Prefect's own client gives up after about a minute, and a flow would fail for it. Repeating is
safe: a state carries the id of its transition, an event its own id.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

AWAY = frozenset({502, 503, 504})
FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.5, 5.0, 1.5


class Patient(httpx.BaseTransport):
    """Sends through `inner` until an answer comes; `given_up` ends the waiting."""

    def __init__(
        self,
        inner: httpx.BaseTransport,
        given_up: threading.Event,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Tell `say` once whenever the server goes away, and once when it is back."""
        self._inner, self._given_up, self._say = inner, given_up, say

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The server's answer, whenever it comes."""
        pause, complained = FIRST_PAUSE, False
        while True:
            reason = None
            try:
                answer = self._inner.handle_request(request)
                if answer.status_code not in AWAY:
                    break
                answer.close()
                reason = f"status {answer.status_code}"
            except httpx.TransportError as broken:
                if self._given_up.is_set():
                    raise
                reason = type(broken).__name__
            if not complained:
                self._say(f"Prefect does not answer ({reason}); what it misses is told it later")
                complained = True
            self._given_up.wait(pause)
            pause = min(pause * GROWTH, LONGEST_PAUSE)
        if complained:
            self._say("Prefect answers again")
        return answer

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


def patient_settings(
    url: str, ca: str | None, given_up: threading.Event, say: Callable[[str], None]
) -> dict[str, Any]:
    """Settings of httpx for Prefect's client, with the machine's proxy where it has one."""
    import ssl  # noqa: PLC0415

    import certifi  # noqa: PLC0415

    trusted = ssl.create_default_context(cafile=ca or certifi.where())
    inner = httpx.HTTPTransport(verify=trusted, proxy=_proxy(url))
    return {"transport": Patient(inner, given_up, say)}


def _proxy(url: str) -> str | None:
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")
