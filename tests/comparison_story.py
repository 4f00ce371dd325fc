"""Comparisons without any training: cells with the scores that a test wants."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from rounds_story import task_file

from fedcore.comparison.plan import LOCAL_ONLY, POOLED, Cell, Comparison, arms_of
from fedcore.comparison.result import CellResult, Round
from fedcore.metrics import Scores

PARTIES = ("1", "2")


def comparison(strategies: str = "fedavg,fedprox", seeds: int = 2, **changes: object) -> Comparison:
    content = task_file().model_dump(mode="json", exclude_unset=True)
    made = Comparison(
        run="compare-chest",
        task=task_file(),
        arms=arms_of(content, strategies),
        seeds=tuple(range(seeds)),
        baselines=True,
        parties={party: f"data/{party}" for party in PARTIES},
        guest="1",
    )
    return made.model_copy(update=changes)


def scores(right: int, wrong: int) -> Scores:
    """So many images right and so many wrong, half of each class."""
    truth = np.arange(right + wrong) % 2
    probabilities = np.full((right + wrong, 2), 0.2)
    hit = np.arange(right + wrong) < right
    probabilities[np.arange(right + wrong), np.where(hit, truth, 1 - truth)] = 0.8
    return Scores.of(probabilities, truth, float(wrong), patients=right + wrong)


def result(
    arm: str,
    seed: int,
    right: Mapping[str, int],
    party: str | None = None,
    rounds: int = 2,
    personal: Mapping[str, int] | None = None,
) -> CellResult:
    """A cell whose best model has `right` of 10 test images right at each party.

    So many have the parties' personal models right, if there are any.
    """
    kind = {LOCAL_ONLY: "local-only", POOLED: "pooled"}.get(arm, "federated")
    values = [{"loss": 1.0 / n, "accuracy": 0.5 + 0.1 * n, "auroc": None} for n in (1, 2, 3)]
    return CellResult(
        cell=Cell(arm=arm, kind=kind, seed=seed, party=party),
        task_hash="0" * 64,
        code_version="test",
        rounds=tuple(
            Round(number=n, seconds=1.5, values=values[n - 1], personal=_later(personal, n))
            for n in range(1, rounds + 1)
        ),
        best_round=rounds,
        reason="all rounds done",
        tests=_tests(right),
        personal=_tests(personal or {}),
    )


def _tests(right: Mapping[str, int]) -> dict[str, dict]:
    return {one: scores(count, 10 - count).to_json() for one, count in right.items()}


def _later(personal: object, number: int) -> dict[str, float]:
    return {"loss": 2.0 / number} if personal else {}


def all_results() -> list[CellResult]:
    """Every cell of `comparison()`: fedprox is better than fedavg by one image, once."""
    found = []
    for seed in (0, 1):
        found += [
            result("fedavg", seed, {"1": 6 + seed, "2": 8}),
            result("fedprox", seed, {"1": 7 + seed, "2": 8}),
            result(LOCAL_ONLY, seed, {"1": 5, "2": 1}, "1"),
            result(LOCAL_ONLY, seed, {"1": 1, "2": 6 + seed}, "2"),
            result(POOLED, seed, {"1": 9, "2": 9}),
        ]
    return found
