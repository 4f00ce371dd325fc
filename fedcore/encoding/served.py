"""What a served model has to know of a table, and how it reads columns as a hospital has them.

Columns can be read as they are only where nothing was learned from one hospital's own rows; else
the model takes encoded and standardised inputs, and the hospital prepares them itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fedcore.config.cells import number_of
from fedcore.config.table import TableSection
from fedcore.config.task import TaskFile
from fedcore.encoding.fills import constants
from fedcore.encoding.own import Encoding
from fedcore.encoding.scaling import Scaling, agreed_scaling


def served(task: TaskFile) -> dict[str, Any]:
    """The table's part of a model's description; nothing for images."""
    table = task.data.table
    if table is None:
        return {}
    scaling = agreed_scaling(table)
    return {
        "table": table.model_dump(mode="json"),
        "scaling": scaling.to_json() if scaling else None,
    }


def takes_cells(table: TableSection, scaling: object) -> bool:
    """Whether the model reads columns as they are; else it takes `table.inputs`."""
    return scaling is not None and constants(table) is not None


def column_types(table: TableSection, scaling: object) -> dict[str, str]:
    """The names of the columns that the model takes, in order, each `double` or `string`."""
    if not takes_cells(table, scaling):
        return dict.fromkeys(table.inputs, "double")
    return {
        one.name: "double"
        if all(number_of(level) is not None for level in one.levels)
        else "string"
        for one in table.features or ()
    }


def encode_cells(
    table: TableSection, scaling: Scaling, cells: Mapping[str, Sequence[str]]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """(N, F) inputs from feature name -> N cells, and (N,) which rows can be used.

    A row that training would have set aside cannot be used; its inputs are of no meaning.
    """
    return Encoding(table, constants(table) or {}, scaling).encode(cells)
