"""A hospital's own encoding of its table, whole: with it, new rows become the model's inputs.

What fills and scales comes from one hospital's training rows, so it stays there: the file is
written into that hospital's output folder and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fedcore.config.base import validate
from fedcore.config.table import TableSection
from fedcore.encoding.columns import read_column
from fedcore.encoding.fills import Fills
from fedcore.encoding.inputs import lay_out
from fedcore.encoding.scaling import Scaling
from fedcore.errors import ModelError, nearest


@dataclass(frozen=True)
class Encoding:
    """The table's section, what stands in for a missing cell of each feature, and the scaling."""

    table: TableSection
    fills: Fills
    scaling: Scaling

    def encode(
        self, cells: Mapping[str, Sequence[object]]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """(N, F) inputs from feature name -> N cells, and (N,) which rows can be used.

        A row that training would have set aside cannot be used; its inputs are of no meaning.
        Cells are texts as a file has them. Raises `ModelError` for a column that is missing.
        """
        features = self.table.features or ()
        missing = next((one.name for one in features if one.name not in cells), None)
        if missing is not None:
            near = nearest(missing, map(str, cells))
            raise ModelError(f"the rows to encode: the column {missing!r} is missing: {near}")
        read = {
            one.name: read_column(self.table, one, [str(cell) for cell in cells[one.name]])
            for one in features
        }
        reasons = zip(*(found for _, found in read.values()), strict=True)
        usable = np.array([not any(row) for row in reasons], dtype=np.bool_)
        values = {name: column for name, (column, _) in read.items()}
        return self.scaling.apply(lay_out(self.table, values, self.fills)), usable

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the names of the inputs in order for whoever reads the file."""
        return {
            "inputs": list(self.table.inputs),
            "fills": dict(self.fills),
            "scaling": self.scaling.to_json(),
            "table": self.table.model_dump(mode="json"),
        }

    @classmethod
    def from_json(cls, content: Any, where: object = "the encoding") -> Self:
        """The inverse of `to_json`; `ModelError` for anything else."""
        try:
            fills = {str(name): float(value) for name, value in content["fills"].items()}
            scaling = Scaling.from_json(content["scaling"])
            section = content["table"]
        except (AttributeError, KeyError, TypeError, ValueError):
            remedy = "give the encoding.json of a party's output folder"
            raise ModelError(f"{where}: it lacks table, fills or scaling: {remedy}") from None
        return cls(validate(TableSection, section, str(where), ModelError), fills, scaling)


def read_encoding(path: Path) -> Encoding:
    """The encoding in a party's `encoding.json`; `ModelError` for a file that is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ModelError(f"{path}: it is no readable JSON file: give an encoding.json") from None
    return Encoding.from_json(content, path)
