"""Small flows for a worker's tests, and the fixed module that runs one of them."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from prefect import flow

from flows.worker import flow_process
from flows.worker.serving import Service, only, run_name
from tasks.options import step

FOLDER = Path(os.environ["WORKER_FOLDER"])


def accept(parameters: Any) -> dict[str, Any]:
    only(parameters, "run")
    return {"run": run_name(parameters.get("run"))}


@step("step {number}")
def one_step(run: str, number: int) -> int:
    """Wait until the test has put down a file that lets this step end."""
    with (FOLDER / "marks.jsonl").open("a") as marks:
        marks.write(json.dumps({"run": run, "step": number, "pid": os.getpid()}) + "\n")
    while not (FOLDER / f"go-{number}").exists():
        time.sleep(0.02)
    return number


@flow(name="small", flow_run_name="{run}", persist_result=False, validate_parameters=False)
def small(run: str) -> str:
    for number in (1, 2, 3):
        one_step(run, number)
    return run


@flow(name="broken", persist_result=False, validate_parameters=False)
def broken(run: str) -> None:
    raise ValueError(f"no way, {run}")


SERVICES = (Service("small", accept, lambda: small), Service("broken", accept, lambda: broken))

if __name__ == "__main__":
    sys.exit(flow_process.run(sys.argv[1], SERVICES, threading.Event()))
