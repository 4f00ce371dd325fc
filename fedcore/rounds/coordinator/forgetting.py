"""Forgetting: an exchange that is this process's own need not hold what nobody reads again."""

from __future__ import annotations

from collections.abc import Sequence

from fedcore.exchange import keys
from fedcore.exchange.own import Own
from fedcore.rounds.coordinator.asking import invitation_of
from fedcore.rounds.coordinator.combining import combined_of
from fedcore.rounds.coordinator.desk import Desk
from fedcore.rounds.coordinator.grouping import bodies_of
from fedcore.rounds.messages import Record
from fedcore.rounds.selection import best_round


def forget_replaced(desk: Desk, done: Sequence[Record], newest: dict[str, str]) -> None:
    """Free each update that is combined in the last round of `done`, the records so far.

    And the groups' sums of that round, which are in its model, the step to the model before, and
    models that are neither the newest nor the best. The cross-site evaluation reads the newest
    update of each party, whose key `newest` then holds by party id, and the models that those were
    trained from. Where updates may count in a later round than they were made in, all stay.
    """
    federation, own, number = desk.task.federation, desk.store.own, done[-1].round
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
    if not desk.task.evaluation.cross_site:
        forget_models(done, federation.select_by, own)


def forget_models(done: Sequence[Record], metric: str, own: Own) -> None:
    """Free the model before the newest, and the one that was the best until now, if it is beaten.

    A model that another one beats never is the best again, so the others are gone by now.
    """
    *before, last = done
    if not before:
        return
    needed = {last.model.key, best_round(done, metric).model.key}
    for key in {before[-1].model.key, best_round(before, metric).model.key} - needed:
        own.forget(key)
