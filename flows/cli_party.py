"""`fedcore party`: hospitals join a coordinator, work for it by their own policy, and leave."""

from __future__ import annotations

from flows import cli_approval, cli_membership, cli_worker
from flows.cli_form import group

party_app = group(
    "Invite a hospital (at the coordinator), join and work (at the hospital).\n\n"
    "\b\n    fedcore party invite munich\n    fedcore party join munich.kit"
)
cli_membership.register(party_app)
cli_approval.register(party_app)
cli_worker.register(party_app)
