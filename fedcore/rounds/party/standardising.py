"""A table's rows as the task file standardises them: by the party's own rows, or by all."""

from __future__ import annotations

from fedcore.data.images import ImageSet
from fedcore.data.table_set import TableRows
from fedcore.encoding.own import Encoding
from fedcore.encoding.scaling import federated_scaling
from fedcore.errors import DataError
from fedcore.rounds.party.desk import Desk
from fedcore.rounds.party.statistics import pooled_statistics


def standardised(desk: Desk, rows: ImageSet) -> ImageSet:
    """The rows to train or score on; those of images, and of other tables, as they are.

    Raises `DataError` where nobody may tell the mean of a column.
    """
    table = desk.task.data.table
    if table is None or not table.pools_statistics or not isinstance(rows, TableRows):
        return rows
    scaling, untold = federated_scaling(table, pooled_statistics(desk))
    if untold:
        raise DataError(
            f"data: no party may tell the mean of the column {untold[0]!r}, so it cannot be "
            "standardised together: write standardise: party, take it out of standardise_columns "
            "with numeric if it is no number, or lower data.min_reported"
        )
    return rows.scaled(scaling)


def own_encoding(desk: Desk) -> Encoding | None:
    """How this party's rows became inputs, for its own use at home; `None` without a table."""
    rows, table = standardised(desk, desk.cohort.train), desk.task.data.table
    if table is None or not isinstance(rows, TableRows):
        return None
    return Encoding(table, rows.fills, rows.scaling)
