"""Before the training: what may be told of this party's data, and what was told of everybody's."""

from __future__ import annotations

from collections.abc import Mapping

from fedcore.config.columns import layouts, level_of
from fedcore.exchange import keys
from fedcore.rounds import sealed
from fedcore.rounds.party.desk import Desk
from fedcore.rounds.signs import last_sign
from fedcore.rounds.statistics_messages import PooledStatistics, Statistics, Withheld
from fedcore.statistics import ColumnSummary, read_columns


def tell_statistics(desk: Desk) -> Statistics | None:
    """Send the summaries of this party's columns once; `None` where the task asks for none.

    What policy or task file keep at home is withheld column by column and cell by cell; that
    nothing may leave at all is said, too, so that nobody waits for it.
    """
    level = level_of(desk.task)
    if level == "none":
        return None
    desk.fence.require()
    key = keys.statistics(desk.party, desk.run)
    standing = sealed.read_if_there(desk.store, key, Statistics, desk.key.public)
    if standing is not None:
        return standing
    message = _message(desk)
    desk.send("statistics", key, message)
    return message


def pooled_statistics(desk: Desk) -> Mapping[str, ColumnSummary]:
    """The columns of all parties together by name, once the coordinator has pooled them.

    They stand before the first invitation does. A column that nobody may tell of is not there.
    """
    key = keys.pooled_statistics(desk.run)

    def there() -> PooledStatistics | None:
        desk.fence.glance()
        return sealed.read_if_there(desk.store, key, PooledStatistics, desk.coordinator_key())

    folder = keys.coordinator_folder(desk.run)
    what = "the statistics of all parties"
    found = desk.watch.wait(there, what, None, lambda: last_sign(desk.store, folder))
    if found is None:
        return {}
    known = read_columns(found.total, layouts(desk.task, desk.cohort.classes), pooled=True)
    return {column.name: column for column in known}


def _message(desk: Desk) -> Statistics:
    reason = _withheld(desk)
    columns = None
    if reason is None:
        least = max(desk.task.data.min_reported, desk.leaving.min_reported)
        told = [column.summary(least) for column in desk.cohort.columns(level_of(desk.task))]
        columns = tuple(column.to_json() for column in told)
    return Statistics(
        run=desk.run,
        party=desk.party,
        task_hash=desk.task.fingerprint(),
        contract_hash=desk.cohort.contract_hash,
        patients=desk.cohort.train.patients,
        images=len(desk.cohort.train),
        columns=columns,
        withheld=reason,
    )


def _withheld(desk: Desk) -> Withheld | None:
    """Why nothing may be told of the training patients, if so."""
    if "statistics" not in desk.leaving.metrics:
        return "policy"
    agreed = desk.task.data.min_reported
    allowed = desk.leaving.allows("statistics", desk.cohort.train.patients, agreed)
    return None if allowed else "few_patients"
