"""A table's rows as the task file standardises them: by the party's own rows, or by all."""

from __future__ import annotations

from fedcore.config.table import TableSection
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
        raise DataError(_untold(table, untold[0]))
    return rows.scaled(scaling)


def _untold(table: TableSection, column: str) -> str:
    """Why a column cannot be standardised together, and what to do."""
    kinds = {feature.name: feature.kind for feature in table.features or ()}
    if kinds[column] == "numeric":
        why, also = "no party may tell the mean of the column", ""
    else:
        why = "a party withholds how often a category occurs in the column"
        also = "standardise_columns: numeric, or "
    return (
        f"data: {why} {column!r}, so it cannot be standardised together: "
        f"write {also}standardise: party, or lower data.min_reported"
    )


def own_encoding(desk: Desk) -> Encoding | None:
    """How this party's rows became inputs, for its own use at home; `None` without a table."""
    rows, table = standardised(desk, desk.cohort.train), desk.task.data.table
    if table is None or not isinstance(rows, TableRows):
        return None
    return Encoding(table, rows.fills, rows.scaling)
