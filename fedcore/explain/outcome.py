"""What the final test says, read from the training's last word; withheld numbers stay unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedcore.metrics import AnyScores, Scores, pool_any, read_scores

if TYPE_CHECKING:
    from fedcore.rounds.messages import Agreement, End, Member

BEST = "best"


@dataclass(frozen=True)
class Outcome:
    """Test scores of the best model: of each party that has answered, and of all together.

    A party with `None` withheld its numbers; a party that is missing never answered.
    """

    classes: tuple[str, ...]
    parties: Mapping[str, AnyScores | None]

    @property
    def reported(self) -> dict[str, AnyScores]:
        """The parties whose numbers are known and stand on at least one image."""
        return {party: scores for party, scores in self.parties.items() if scores and scores.images}

    @property
    def pooled(self) -> AnyScores | None:
        """All reported images together; `None` when nobody reported."""
        return pool_any(self.reported.values())

    @property
    def by_class(self) -> dict[str, Scores]:
        """`reported`, where the scores are of classes and not of survival."""
        return {party: one for party, one in self.reported.items() if isinstance(one, Scores)}

    @property
    def binary(self) -> bool:
        """Whether there are two classes, of which the second is the one looked for."""
        return len(self.classes) == 2


def outcome_of(end: End, model: str = BEST) -> Outcome:
    """The test scores of `model`; raises `ValueError` or `KeyError` for scores of another form."""
    scores = {
        party: read_scores(content) if content else None
        for party, content in end.scores.get(model, {}).items()
    }
    return Outcome(end.classes, scores)


def guest_first(agreement: Agreement) -> Sequence[Member]:
    """The parties in the order of every figure and table: the guest, then hosts by id."""
    return sorted(agreement.parties, key=lambda one: (one.role != "guest", *_natural(one.party_id)))


def _natural(party: str) -> tuple[int, str]:
    """Numbers in the order of their value, before names."""
    return (len(party), party) if party.isdigit() else (1 << 16, party)
