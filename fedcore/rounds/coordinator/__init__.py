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
from fedcore.rounds.coordinator.forgetting import forget_rest, forget_superseded
from fedcore.rounds.coordinator.gathering import gather, hear
from fedcore.rounds.coordinator.grouping import ask_group, groups, sum_group, summed
from fedcore.rounds.coordinator.opening import adopt_initial_model, found, welcome
from fedcore.rounds.coordinator.resuming import finished, goes_on, records, remembered
from fedcore.rounds.coordinator.statistics import (
    await_statistics,
    gather_statistics,
    pool_statistics,
    pooled,
    telling_parties,
)

__all__ = [
    "Desk",
    "adopt_initial_model",
    "ask",
    "ask_group",
    "await_score",
    "await_statistics",
    "combine",
    "conclude",
    "deadline",
    "finished",
    "forget_rest",
    "forget_superseded",
    "found",
    "gather",
    "gather_statistics",
    "goes_on",
    "groups",
    "hear",
    "invite",
    "pool_statistics",
    "pooled",
    "record",
    "records",
    "remembered",
    "request_final_test",
    "require_quorum",
    "scorers",
    "sum_group",
    "summed",
    "telling_parties",
    "welcome",
]
