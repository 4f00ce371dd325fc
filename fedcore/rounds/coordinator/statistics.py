"""Before the training: wait for what the parties tell of their data, check it, pool it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fedcore.config.columns import layouts, level_of
from fedcore.errors import Refused
from fedcore.exchange import keys
from fedcore.rounds import sealed
from fedcore.rounds.coordinator.asking import wait_for
from fedcore.rounds.coordinator.desk import Desk
from fedcore.rounds.coordinator.naming import note_named
from fedcore.rounds.messages import LATE, Hello
from fedcore.rounds.statistics_messages import PooledStatistics, Statistics
from fedcore.statistics import ColumnSummary, pool_columns, read_columns

TOLD = "told"


def telling_parties(desk: Desk) -> list[str]:
    """The parties whose statistics are to be waited for; none once they are pooled, or unwanted."""
    if level_of(desk.task) == "none" or pooled(desk) is not None:
        return []
    return list(desk.hellos())


def pooled(desk: Desk) -> PooledStatistics | None:
    """The statistics of all parties as they stand, if they do; `None` where none are wanted."""
    if level_of(desk.task) == "none":
        return None
    return desk.recall(keys.pooled_statistics(desk.run), PooledStatistics, desk.key.public)


def await_statistics(desk: Desk, party: str, until: float | None = None) -> str:
    """Wait for what one party tells of its data; `told`, `late`, or why it does not count."""
    what = f"{desk.member(party).label}'s statistics"
    wait_for(desk, party, keys.statistics(party, desk.run), what, until)
    found = _told(desk, party)
    return found if isinstance(found, str) else TOLD


def gather_statistics(desk: Desk, until: float | None = None) -> PooledStatistics | None:
    """`await_statistics` of every party, one after the other, then `pool_statistics`."""
    for party in telling_parties(desk):
        await_statistics(desk, party, until)
    return None if level_of(desk.task) == "none" else pool_statistics(desk)


def pool_statistics(desk: Desk) -> PooledStatistics:
    """Publish what is there by now, of each party and of all together.

    A party that withholds its statistics, is late with them or sends what cannot be is absent with
    its reason, and the training goes on.
    """
    desk.fence.require()
    standing = pooled(desk) or _pool_now(desk)
    for party, reason in sorted(standing.absent.items()):
        desk.ledger.append_once("statistics_absent", {"party": party, "reason": reason})
    note_named(desk.ledger, "statistics_pooled", {}, "parties", sorted(standing.parties))
    return standing


def _pool_now(desk: Desk) -> PooledStatistics:
    found = {party: _told(desk, party) for party in desk.hellos()}
    told = {party: one for party, one in found.items() if not isinstance(one, str)}
    mine = PooledStatistics(
        run=desk.run,
        parties={party: _as_json(columns) for party, columns in told.items()},
        absent={party: one for party, one in found.items() if isinstance(one, str)},
        total=_as_json(pool_columns(told.values()).values()),
    )
    return sealed.settle(desk.store, keys.pooled_statistics(desk.run), mine, desk.key)


def _told(desk: Desk, party: str) -> tuple[ColumnSummary, ...] | str:
    """What a party tells of its data, checked whole; else why it does not count."""
    try:
        hello = desk.hello(party)
        key = keys.statistics(party, desk.run)
        said = sealed.read_if_there(desk.store, key, Statistics, desk.public_key(party))
        if said is None or hello is None:
            return desk.refusal(party) or LATE
        _require_said_by(hello, said)
        if said.columns is None:
            return f"withheld: {said.withheld or 'policy'}"
        return read_columns(said.columns, layouts(desk.task, hello.classes))
    except Refused as refused:
        return refused.reason
    except ValueError:
        return "malformed"


def _require_said_by(hello: Hello, said: Statistics) -> None:
    """Raise `Refused` unless the statistics are of the party and the data of the hello."""
    checks = {
        "wrong_party": said.party == hello.party,
        "wrong_task": said.task_hash == hello.task_hash,
        "data_changed": said.contract_hash == hello.contract_hash,
        "wrong_counts": (said.patients, said.images) == (hello.patients, hello.images),
    }
    for reason, holds in checks.items():
        if not holds:
            raise Refused(reason, f"the statistics of {hello.party}")


def _as_json(columns: Iterable[ColumnSummary]) -> tuple[dict[str, Any], ...]:
    return tuple(column.to_json() for column in columns)
