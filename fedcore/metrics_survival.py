"""What a survival model is worth, as counts of pairs that may leave a hospital and add up exactly.

Pairs are formed within a hospital, never across: no hospital sees another's times. So the pooled
concordance index counts every hospital's own pairs, each once (a stratified index), and equals
what one count over these pairs would give. Numpy only: the coordinator uses it, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

COUNTS = ("patients", "images", "events", "concordant", "discordant", "tied")
# The headline metrics of a survival model: each is a property of `SurvivalScores`.
OF_SURVIVAL = ("concordance", "loss")
MOST = 2**53


@dataclass(frozen=True)
class SurvivalScores:
    """Sums over a set of patients' rows (`images` of them, as everywhere) with `events` events.

    A pair is comparable when the one with the shorter time had the event, or at equal times when
    one of the two had it. It is `concordant` when that one was given the higher risk, `tied` when
    both were given the same. `loss_sum` is the negative log partial likelihood, each hospital's
    patients being each other's risk sets.
    """

    patients: int
    images: int
    events: int
    loss_sum: float
    concordant: int
    discordant: int
    tied: int

    @classmethod
    def of(
        cls,
        risk: npt.NDArray[np.floating[Any]],
        times: npt.NDArray[np.float64],
        events: npt.NDArray[np.bool_],
        loss_sum: float,
        patients: int,
    ) -> Self:
        """Count the comparable pairs of (N,) risks against times and events (Harrell 1982)."""
        concordant = discordant = tied = 0
        for one in np.flatnonzero(events):
            longer = (times > times[one]) | ((times == times[one]) & ~events)
            others = risk[longer]
            concordant += int((others < risk[one]).sum())
            discordant += int((others > risk[one]).sum())
            tied += int((others == risk[one]).sum())
        seen = int(events.sum())
        return cls(patients, len(times), seen, float(loss_sum), concordant, discordant, tied)

    @property
    def concordance(self) -> float:
        """Harrell's c: the share of comparable pairs in the right order, ties half; NaN of none."""
        pairs = self.concordant + self.discordant + self.tied
        return (self.concordant + self.tied / 2) / pairs if pairs else float("nan")

    @property
    def loss(self) -> float:
        """Negative log partial likelihood per event; NaN without events."""
        return self.loss_sum / self.events if self.events else float("nan")

    def value(self, metric: str) -> float:
        """The metric by name: `concordance` or `loss`; NaN for one of other scores."""
        return float(getattr(self, metric, float("nan")))

    def summary(self) -> dict[str, float]:
        """The two headline numbers."""
        return {name: self.value(name) for name in OF_SURVIVAL}

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Any) -> Self:
        """The inverse of `to_json`; raises `ValueError` for whatever `to_json` cannot have said."""
        if not isinstance(content, dict) or content.keys() != {*cls.__dataclass_fields__}:
            raise ValueError(f"survival scores have the fields {', '.join(COUNTS)} and loss_sum")
        loss_sum = content["loss_sum"]
        if type(loss_sum) not in (int, float) or not math.isfinite(loss_sum):
            raise ValueError("loss_sum is no finite number")
        if any(type(content[name]) is not int or not 0 <= content[name] < MOST for name in COUNTS):
            raise ValueError("a count is no whole number of 0 or more")
        scores = cls(**{**content, "loss_sum": float(loss_sum)})
        pairs = scores.concordant + scores.discordant + scores.tied
        if scores.events > scores.images or pairs > scores.events * scores.images:
            raise ValueError("there are more events or pairs than rows allow")
        return scores


def pool_survival(parts: Iterable[SurvivalScores]) -> SurvivalScores | None:
    """The sums of all parts; `None` when nobody reported."""
    known = list(parts)
    if not known:
        return None
    counts = {name: sum(getattr(one, name) for one in known) for name in COUNTS}
    return SurvivalScores(loss_sum=math.fsum(one.loss_sum for one in known), **counts)
