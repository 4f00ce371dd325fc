"""A strategy's rounds in a world of three numbers, for tests that compare them with formulas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import strategies as st

from fedcore.config.federation import FederationSection
from fedcore.config.strategy_fields import ONLY_WITH
from fedcore.params import Params
from fedcore.strategies import Contribution, Step, rule_for

FINITE = st.floats(-1e3, 1e3, width=32)
THREE = st.lists(FINITE, min_size=3, max_size=3)
PARTIES = st.lists(st.tuples(THREE, st.integers(1, 500)), min_size=1, max_size=4)
ROUNDS = st.lists(PARTIES, min_size=2, max_size=3)
RATES = st.sampled_from([0.01, 0.1, 1.0])
BETAS = st.sampled_from([0.5, 0.9, 0.99])
Weighed = Sequence[tuple[Sequence[float], float]]


def step(
    start: Params,
    updates: Sequence[tuple[Params, float]],
    memory: Mapping | None = None,
    normalisers: Sequence[float] = (),
    everyone: float = 1.0,
    **federation: object,
) -> Step:
    """One round of a strategy over (update, weight) of parties 1, 2, ..."""
    rule = rule_for(FederationSection(**federation))
    for number, (update, weight) in enumerate(updates):
        normaliser = normalisers[number] if normalisers else 1.0
        rule.add(Contribution(str(number), weight, update, normaliser, 0, everyone))
    return rule.finish(start, memory or {})


def taken(strategy: str, **fields: object) -> dict[str, object]:
    """The strategy with those of the fields that it uses; a section refuses the others."""
    ours = {one: value for one, value in fields.items() if strategy in ONLY_WITH.get(one, strategy)}
    return {"strategy": strategy, **ours}


def numbers(values: Sequence[float]) -> Params:
    return {"w": np.array(values, np.float32)}


def course(start: Sequence[float], rounds: Sequence[Weighed], **federation: object) -> np.ndarray:
    """The three numbers after these rounds."""
    now = Step(numbers(start))
    for parties in rounds:
        updates = [(numbers(values), weight) for values, weight in parties]
        now = step(now.model, updates, now.memory, **federation)
    return now.model["w"]


def means(rounds: Sequence[Weighed]) -> list[np.ndarray]:
    return [
        np.average([values for values, _ in one], axis=0, weights=[weight for _, weight in one])
        for one in rounds
    ]


def controlled(update: Sequence[float], control: Sequence[float]) -> Params:
    return numbers(update) | {"control/w": np.array(control, np.float32)}
