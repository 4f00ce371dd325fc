r"""Frontal radiographs the usual way round: head up, the patient's left on the viewer's right.

The rule, for images of modality CR and DX only:

1. PatientOrientation (0020,0020) names where rows and columns lead; `L\F` is the usual way. When
   the row leads to head or foot and the column to a side, the image lies on its side and is
   transposed first.
2. A column that leads to the head: the image stands on its head and is flipped up-down.
3. A row that leads to the patient's right: the image is mirrored and is flipped left-right, unless
   ViewPosition (0018,5101) names a lateral view, which has no left and right.

Without a PatientOrientation of two values nothing is changed: ViewPosition tells where the tube
stood (PA, AP) and not how the image was stored.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedcore.data.images import Pixels

RADIOGRAPHY = frozenset({"CR", "DX"})
_LATERAL_VIEWS = frozenset({"LL", "RL", "LLD", "RLD", "LLO", "RLO", "LATERAL", "LAT"})


def upright(pixels: Pixels, modality: str, orientation: Sequence[str], view: str) -> Pixels:
    """Bring (H, W) or (H, W, 3) into the usual orientation by the rule of this module."""
    if modality not in RADIOGRAPHY or len(orientation) != 2:
        return pixels
    row, column = (str(part)[:1].upper() for part in orientation)
    if row in {"H", "F"} and column in {"L", "R", "A", "P"}:
        pixels, row, column = pixels.swapaxes(0, 1), column, row
    if column == "H":
        pixels = pixels[::-1]
    if row == "R" and view.upper() not in _LATERAL_VIEWS:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
