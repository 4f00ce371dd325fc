"""A Prefect API for one command: the configured one, or a temporary server that ends with us.

Run as `python -m flows.prefect_server`: it writes the API's URL as one line to standard output and
stays until its standard input closes. The pipe closes however the parent ends, kill -9 included,
so no server is left behind.
"""

from __future__ import annotations

import sys

from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL

STARTUP_SECONDS = 180


def main() -> None:
    """Serve until standard input ends."""
    configured = PREFECT_API_URL.value()
    if configured:
        _say(configured)
        return
    server = SubprocessASGIServer()
    server.start(timeout=STARTUP_SECONDS)
    try:
        _say(server.api_url)
        sys.stdin.read()
    finally:
        server.stop()


def _say(url: str) -> None:
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
