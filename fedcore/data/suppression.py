"""Which counts stay at home so that no small group of patients can be told, nor worked out.

Whoever reads the exchange knows how many patients and images a party has. So a small cell that is
merely left out can be found by subtraction. These rules decide by patients, never by records, and
by nothing but counts: what leaves is the same for every way in which the withheld cells could be
exchanged for one another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
# Count, sum and sum of squares are three equations, and each cell that is told is one more. On a
# column with few different values they can be solved for how many patients hold a rare one, the
# sooner as counts are whole and not negative; so many values must be left unknown beyond the cells.
FEW_VALUES = 12


def withheld(held: Bools, least: int) -> Bools:
    """Which cells stay at home; `held` (P, C) says which patient has a record in which cell.

    Nothing is withheld where every cell has nobody or at least `least` patients. Else all cells
    with fewer are, empty ones included, and of the others the smallest until

    - the withheld cells together hold at least `least` patients: their sum can be subtracted; and
    - one of them has nobody or at least `least`: each of them might be that one.

    Of no more than `least` patients in all, every cell is.
    """
    patients = held.sum(axis=0)
    if least > 1 and held.any(axis=1).sum() <= least:
        return np.ones(len(patients), bool)
    if not ((patients > 0) & (patients < least)).any():
        return np.zeros(len(patients), bool)
    for bound in sorted({least - 1, *patients[patients >= least].tolist()}):
        hidden = np.asarray(patients <= bound, bool)
        together = held[:, hidden].any(axis=1).sum()
        ambiguous = patients[hidden].min() == 0 or patients[hidden].max() >= least
        if together >= least and ambiguous:
            return hidden
    return np.ones(len(patients), bool)


@dataclass(frozen=True)
class Grain:
    """How finely a numeric column's values tell patients apart.

    `distinct` values of so many `patients`; the `rarest` is held by so many; `others` hold any
    value but the commonest.
    """

    patients: int
    distinct: int
    rarest: int
    others: int

    @classmethod
    def of(cls, values: Floats, patients: Ints) -> Grain:
        """Of values (M,) and the patients (M,) they belong to; M is at least 1."""
        known, places = np.unique(values, return_inverse=True)
        everyone, whose = np.unique(patients, return_inverse=True)
        pairs = np.unique(places * len(everyone) + whose)
        holders = np.bincount(pairs // len(everyone), minlength=len(known))
        others = np.unique(whose[places != holders.argmax()])
        return cls(len(everyone), len(known), int(holders.min()), len(others))

    def solvable(self, told: int, least: int) -> bool:
        """Whether mean, spread and `told` cells may be enough to count who holds a rare value."""
        return self.rarest < least and self.distinct < told + FEW_VALUES

    def lone(self, least: int) -> bool:
        """Whether the sum is, but for one common value, that of fewer than `least` patients.

        Or whether there are no more than `least` in all, as for the cells.
        """
        return 0 < self.others < least or (least > 1 and self.patients <= least)
