"""Prefect's own API and page behind our door: `python -m flows.hub.prefect_service HOME`.

Prefect reads its settings from the environment, which the hub's table of services fills in.
"""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn
from prefect.server.api.server import create_app

from flows.hub.home import Hub
from flows.hub.prefect_again import Again
from flows.hub.prefect_door import Door
from flows.hub.prefect_users import Users, users_path
from flows.settled import settle

KEEP_ALIVE_SECONDS = 5
GRACE_SECONDS = 5


def serve(hub: Hub) -> None:
    """Serve until told to end."""
    door = Door(Again(create_app()), Users(users_path(hub)), hub.secrets.pair("prefect"))
    settle()
    uvicorn.run(
        door,
        host=hub.settings.host,
        port=hub.settings.ports["prefect"],
        ssl_certfile=hub.settings.cert,
        ssl_keyfile=hub.settings.key,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


if __name__ == "__main__":
    serve(Hub.load(Path(sys.argv[1])))
