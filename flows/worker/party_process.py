"""`python -m flows.worker.party_process FLOW_RUN_ID`: one flow run of a hospital's pool."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from flows.deployed_session import party_session
from flows.discretion import scrub
from flows.flow_voice import STOPPED
from flows.worker import flow_process
from flows.worker.serving import Service, accept_session

if TYPE_CHECKING:
    from prefect import Flow


def _session() -> Flow[..., Any]:
    return party_session


SERVICES = (Service("party-session", accept_session, _session),)

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    sys.exit(flow_process.run(sys.argv[1], SERVICES, STOPPED, scrub))
