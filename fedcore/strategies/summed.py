"""Strategies that are sums: what some parties add up to can be added to what others add up to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from fedcore.params import Array
from fedcore.strategies.mean import WeightedMean
from fedcore.strategies.rule import Contribution, Rule

Notes = Mapping[str, float | str]


@dataclass(frozen=True)
class Partial:
    """What a rule has added up of a group: float64 arrays by name, and small notes beside them.

    `arrays` can be gone through once; whoever makes it gives each array away with it.
    """

    notes: Notes
    arrays: Iterable[tuple[str, Array]]


class Summing(Rule, Protocol):
    """A rule whose contributions can be added up in groups.

    The groups' sums are joined in the order of their parties, so the result does not depend on
    who added up which group when. It is the flat sum but for the order of additions.
    """

    def partial(self) -> Partial:
        """What was added so far; the rule is empty afterwards."""

    def join(self, partial: Partial) -> None:
        """Take in what another such rule has added up, at least of one party.

        Raises `Refused` where an array has not the shape of the one that is here.
        """


class Summed:
    """The half of most such rules: the weighted mean of the updates."""

    keeping = False

    def __init__(self) -> None:
        """Nothing is added yet."""
        self._mean = WeightedMean()

    def add(self, contribution: Contribution) -> None:
        """See `Rule`."""
        self._mean.add(contribution.update, contribution.weight)

    def partial(self) -> Partial:
        """See `Summing`."""
        return Partial(self._mean.notes(), self._mean.give_away())

    def join(self, partial: Partial) -> None:
        """See `Summing`."""
        for name, array in partial.arrays:
            self._mean.join(name, array, partial.notes)


def together(first: Partial, second: Partial, prefix: str) -> Partial:
    """Both as one; what is of the `second` stands under `prefix`."""
    notes = {prefix + name: value for name, value in second.notes.items()}
    return Partial({**first.notes, **notes}, chain(first.arrays, _under(prefix, second.arrays)))


def notes_under(notes: Notes, prefix: str) -> Notes:
    """The notes that stand under `prefix`, by the names without it."""
    return {
        name.removeprefix(prefix): value for name, value in notes.items() if name.startswith(prefix)
    }


def _under(prefix: str, arrays: Iterable[tuple[str, Array]]) -> Iterator[tuple[str, Array]]:
    return ((prefix + name, array) for name, array in arrays)
