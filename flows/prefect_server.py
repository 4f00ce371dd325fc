"""A Prefect API for one command: the configured one, or a temporary server that ends with us.

Run as `python -m flows.prefect_server`: it writes `configured URL` or `temporary URL HOME` as one
line to standard output. With a temporary server it stays until its standard input closes: the pipe
closes however the parent ends, kill -9 included, so no server is left behind.
"""

from __future__ import annotations

import os
import sys

from prefect.settings import PREFECT_API_URL, PREFECT_HOME

STARTUP_SECONDS = 180
# By default, each event of a task run is a transaction of its own. What waits for the next batch
# when the server is told to stop is written before it does.
BATCHES = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "500",
}


def main() -> None:
    """Serve until standard input ends."""
    configured = PREFECT_API_URL.value()
    if configured:
        _say(f"configured {configured}")
        return
    # Only now: importing the server takes seconds, and a configured API needs none.
    from prefect.server.api.server import SubprocessASGIServer  # noqa: PLC0415

    for name, value in BATCHES.items():
        os.environ.setdefault(name, value)
    server = SubprocessASGIServer()
    server.start(timeout=STARTUP_SECONDS)
    try:
        _say(f"temporary {server.api_url} {PREFECT_HOME.value()}")
        sys.stdin.read()
    finally:
        server.stop()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
