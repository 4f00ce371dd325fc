"""`python -m flows.worker.coordinator_process FLOW_RUN_ID`: one flow run of the hub's pool."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from flows.flow_voice import STOPPED
from flows.worker import flow_process
from flows.worker.serving import Service, accept_training

if TYPE_CHECKING:
    from prefect import Flow


def _training() -> Flow[..., Any]:
    from flows.deployed_training import federated_training  # noqa: PLC0415

    return federated_training


def _retraining() -> Flow[..., Any]:
    from flows.retraining import retraining  # noqa: PLC0415

    return retraining


SERVICES = (
    Service("federated-training", accept_training, _training),
    Service("retraining", accept_training, _retraining),
)

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    sys.exit(flow_process.run(sys.argv[1], SERVICES, STOPPED))
