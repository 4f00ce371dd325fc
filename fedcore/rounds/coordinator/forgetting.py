"""Forgetting: an exchange that is this process's own need not hold what nobody reads again."""

from __future__ import annotations

from fedcore.exchange import keys
from fedcore.rounds.coordinator.asking import invitation_of
from fedcore.rounds.coordinator.combining import combined_of
from fedcore.rounds.coordinator.desk import Desk
from fedcore.rounds.coordinator.grouping import bodies_of


def forget_replaced(desk: Desk, number: int, newest: dict[str, str]) -> None:
    """Free each update that is combined in round `number`.

    And the groups' sums of that round, which are in its model, and the step to the model before.
    The cross-site evaluation reads the newest update of each party, whose key `newest` then holds
    by party id. Where updates may count in a later round than they were made in, all stay.
    """
    federation, own = desk.task.federation, desk.store.own
    if own is None:
        return
    for key in bodies_of(desk, combined_of(desk, number)):
        own.forget(key)
    step = invitation_of(desk, number).step
    if step is not None:
        own.forget(step.key)
    if federation.buffer or federation.late == "next_round":
        return
    for party in combined_of(desk, number).updates:
        key = keys.update(party, desk.run, number)
        replaced = newest.get(party) if desk.task.evaluation.cross_site else key
        if replaced is not None:
            own.forget(replaced)
        newest[party] = key
