"""What somebody asks a served model about a table: a data frame, or columns by name, as inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fedcore.config.table import TableSection
from fedcore.encoding.scaling import Scaling
from fedcore.encoding.served import column_types, encode_cells, takes_cells
from fedcore.errors import ModelError, nearest

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


class TableReader:
    """Reads columns as a hospital has them; encoded inputs where only the hospital can encode."""

    def __init__(self, table: TableSection, scaling: Scaling | None) -> None:
        self._table, self._scaling = table, scaling

    def read(self, asked: Any) -> tuple[Floats, Mask]:
        """(N, F) inputs and (N,) which rows can be used; see `column_types` for the columns.

        `asked` is anything with columns by name, such as a data frame. Raises `ModelError`.
        """
        columns = {name: self._column(asked, name) for name in self._names()}
        if self._scaling is not None and takes_cells(self._table, self._scaling):
            cells = {name: [_cell(one) for one in column] for name, column in columns.items()}
            return encode_cells(self._table, self._scaling, cells)
        try:
            rows = np.array(list(columns.values()), dtype=np.float32).T
        except (TypeError, ValueError):
            raise ModelError(
                "the request: a column holds something else than numbers: give the encoded and "
                "standardised inputs that the model's description names"
            ) from None
        usable: Mask = np.asarray(np.isfinite(rows).all(axis=1))
        return np.ascontiguousarray(rows), usable

    def _names(self) -> tuple[str, ...]:
        return tuple(column_types(self._table, self._scaling))

    def _column(self, asked: Any, name: str) -> Sequence[Any]:
        try:
            return list(asked[name])
        except (KeyError, IndexError, TypeError):
            known = [str(one) for one in getattr(asked, "columns", ())]
            near = nearest(name, known or self._names())
            raise ModelError(f"the request: the column {name!r} is missing: {near}") from None


def _cell(value: Any) -> str:
    """A value as a text file would have it: absent is empty."""
    if value is None or value != value:  # noqa: PLR0124 (not a number)
        return ""
    return str(int(value)) if isinstance(value, bool | np.bool_) else str(value)
