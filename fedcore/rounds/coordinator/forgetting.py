"""Forgetting: an exchange in this process's memory need not hold what nobody reads again."""

from __future__ import annotations

from fedcore.exchange import keys
from fedcore.exchange.memory import MemoryStore
from fedcore.rounds.coordinator.asking import invitation_of
from fedcore.rounds.coordinator.combining import combined_of
from fedcore.rounds.coordinator.desk import Desk
from fedcore.rounds.coordinator.grouping import bodies_of


def forget_replaced(desk: Desk, number: int, newest: dict[str, str]) -> None:
    """Free each update that is combined once a newer one of its party is, too, by round `number`.

    And the groups' sums of that round, which are in its model, and the step to the model before.
    `newest` holds, by party id, the key of its newest combined update. The cross-site evaluation
    reads that one; where updates may count in a later round than they were made in, all stay.
    """
    federation = desk.task.federation
    if not isinstance(desk.store, MemoryStore):
        return
    for key in bodies_of(desk, combined_of(desk, number)):
        desk.store.forget(key)
    step = invitation_of(desk, number).step
    if step is not None:
        desk.store.forget(step.key)
    if federation.buffer or federation.late == "next_round":
        return
    for party in combined_of(desk, number).updates:
        if party in newest:
            desk.store.forget(newest[party])
        newest[party] = keys.update(party, desk.run, number)
