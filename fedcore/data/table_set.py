"""One split of a table as training sees it: rows of numbers, standardised when they are batched."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fedcore.data.images import Labels
from fedcore.encoding.fills import Fills
from fedcore.encoding.inputs import Matrix
from fedcore.encoding.scaling import Scaling


@dataclass(frozen=True)
class TableRows:
    """N rows: `inputs` (N, F) before standardisation, `labels` (N,) or (N, 2), see `ImageSet`.

    `fills` says what stands in for a missing cell of each feature.
    """

    inputs: Matrix = field(repr=False)
    labels: Labels = field(repr=False)
    patients: int
    scaling: Scaling = field(repr=False)
    fills: Fills = field(repr=False, default_factory=dict)

    def __len__(self) -> int:
        """N."""
        return len(self.labels)

    def batch(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """The rows at `indices` as (B, F) float32, standardised, in that order."""
        return self._rows[indices]

    def scaled(self, scaling: Scaling) -> TableRows:
        """The same rows under another standardisation, such as that of all parties together."""
        return replace(self, scaling=scaling)

    @property
    def pixel_statistics(self) -> None:
        """A table has no pixels."""

    @cached_property
    def _rows(self) -> npt.NDArray[np.float32]:
        return self.scaling.apply(self.inputs)
