"""A worker for the small flows: `worker_program.py POOL NAME`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from worker_flows import SERVICES

from flows.worker.job import Post
from flows.worker.runner import process_environ
from flows.worker.serve import serve

OWN = ("PREFECT_API_URL", "PREFECT_HOME", "WORKER_FOLDER", "PYTHONPATH")

if __name__ == "__main__":
    folder = Path(os.environ["WORKER_FOLDER"])
    own = {name: os.environ[name] for name in OWN}
    serve(
        Post(
            pool=sys.argv[1],
            name=sys.argv[2],
            url=os.environ["PREFECT_API_URL"],
            services=SERVICES,
            command=[sys.executable, "-m", "worker_flows"],
            environ=process_environ(os.environ, own),
            folder=folder,
            logs=folder / "logs",
            in_a_row=int(os.environ.get("WORKER_PATIENCE", "5")),
        )
    )
