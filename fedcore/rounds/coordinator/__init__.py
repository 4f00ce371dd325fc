"""The coordinator's side: found a run, ask the parties, combine, record. No torch, no patient.

Every verb takes the `Desk` and names (a round's number, a party's id), reads what it needs from
the exchange, and writes its outcome there; so each can be repeated by whoever comes back.
"""

from fedcore.rounds.coordinator.asking import ask, deadline, invite, require_quorum
from fedcore.rounds.coordinator.closing import (
    await_score,
    conclude,
    record,
    request_final_test,
    scorers,
)
from fedcore.rounds.coordinator.combining import combine
from fedcore.rounds.coordinator.desk import Desk
from fedcore.rounds.coordinator.gathering import gather, hear
from fedcore.rounds.coordinator.opening import adopt_initial_model, found, welcome
from fedcore.rounds.coordinator.resuming import finished, goes_on, records

__all__ = [
    "Desk",
    "adopt_initial_model",
    "ask",
    "await_score",
    "combine",
    "conclude",
    "deadline",
    "finished",
    "found",
    "gather",
    "goes_on",
    "hear",
    "invite",
    "record",
    "records",
    "request_final_test",
    "require_quorum",
    "scorers",
    "welcome",
]
