"""Resuming: where a training stands is read from the exchange, never from a process's memory."""

from __future__ import annotations

from fedcore.exchange import keys
from fedcore.rounds import sealed
from fedcore.rounds.coordinator.desk import Desk
from fedcore.rounds.messages import End, Record
from fedcore.rounds.selection import should_stop


def records(desk: Desk) -> list[Record]:
    """The records of all rounds that are done, in order."""
    done: list[Record] = []
    while (one := _record(desk, len(done) + 1)) is not None:
        done.append(one)
    return done


def remembered(desk: Desk) -> list[Record]:
    """The records that this process has read or written, in order; the exchange is not asked."""
    known = [one for one in desk.memory.values() if isinstance(one, Record)]
    return sorted(known, key=lambda one: one.round)


def goes_on(desk: Desk, done: list[Record]) -> bool:
    """Whether another round follows: neither all done nor stopped early."""
    federation = desk.task.federation
    if len(done) >= federation.epochs:
        return False
    return not should_stop(done, federation.select_by, federation.early_stopping)


def finished(desk: Desk) -> End | None:
    """The end of the training if it has ended."""
    return sealed.read_if_there(desk.store, keys.end(desk.run), End, desk.key.public)


def _record(desk: Desk, number: int) -> Record | None:
    return desk.recall(keys.record(desk.run, number), Record, desk.key.public)
