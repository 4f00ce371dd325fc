"""Whether something can be used: a port that opens, a page that answers as it should."""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import ssl
import urllib.request
from pathlib import Path

from flows.hub.secret_store import Pair

SECONDS = 10.0
NOTHING = b""


def port_answers(host: str, port: int) -> bool:
    """Whether somebody listens."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), SECONDS):
        return True
    return False


def page_answers(url: str, pair: Pair, ca: Path | None) -> bool:
    """Whether a GET with these credentials is answered with a success."""
    return page(url, pair, ca) != NOTHING


def page(url: str, pair: Pair, ca: Path | None, sent: bytes | None = None) -> bytes:
    """What a GET, or a POST of what is `sent`, is answered with; `NOTHING` without success."""
    request = urllib.request.Request(url, data=sent)  # noqa: S310 (the hub's own address)
    word = base64.b64encode(pair.auth_string.encode()).decode()
    request.add_header("Authorization", f"Basic {word}")
    request.add_header("Content-Type", "application/json")
    trust = ssl.create_default_context(cafile=ca) if url.startswith("https:") else None
    # Never through a proxy: these are our own services.
    direct = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
    )
    try:
        with direct.open(request, timeout=SECONDS) as answer:
            return bytes(answer.read()) + b"\n"
    except (OSError, ValueError, http.client.HTTPException):
        return NOTHING
