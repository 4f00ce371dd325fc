"""`python -m flows.worker.coordinator HOME`: the hub's own worker, kept going by its keeper.

One training at a time: two that wait for each other's hospitals would wait for ever.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from fedcore.errors import FedcoreError
from flows.hub.home import Hub
from flows.worker.runner import make_home, process_environ, say, source_root, worker_name

HUB = "FEDCORE_HUB"
POOL = "coordinator"
# Arrays of models come and go in several threads, and glibc would keep what each has freed.
MEMORY = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": str(1 << 20)}


def main(home: Path) -> int:
    """Serve the hub's pool until SIGTERM."""
    try:
        hub = Hub.load(home)
        own = hub.prefect_environ() | {"PREFECT_HOME": str(hub.home / "worker" / "prefect")}
        environ = process_environ(os.environ, own | {HUB: str(hub.home)})
    except FedcoreError as error:
        say(str(error))
        return error.exit_code
    make_home(environ)
    os.environ.clear()
    os.environ.update(environ)
    # Only now: Prefect reads its settings when it is imported.
    from flows.worker.coordinator_process import SERVICES  # noqa: PLC0415
    from flows.worker.job import Post  # noqa: PLC0415
    from flows.worker.serve import serve  # noqa: PLC0415
    from flows.worker.sessions_end import end_sessions  # noqa: PLC0415

    serve(
        Post(
            pool=POOL,
            name=worker_name(POOL),
            url=hub.prefect_url,
            services=SERVICES,
            command=(sys.executable, "-m", "flows.worker.coordinator_process"),
            environ=environ | MEMORY,
            folder=source_root(),
            logs=hub.home / "logs" / "flows",
            afterwards=end_sessions,
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
