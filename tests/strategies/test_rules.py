"""Each rule against its paper's formula, written out anew, and in numbers that can be checked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rules_story import (
    BETAS,
    PARTIES,
    RATES,
    ROUNDS,
    THREE,
    Weighed,
    controlled,
    course,
    means,
    numbers,
    step,
    taken,
)

from fedcore.config.federation import STRATEGIES
from fedcore.errors import QuorumNotMet
from fedcore.strategies import Step
from fedcore.strategies.choice import ASYNCHRONOUS, ROBUST, SUMS


def test_every_strategy_of_the_task_file_has_a_rule() -> None:
    assert sorted([*SUMS, *ASYNCHRONOUS, *ROBUST]) == sorted(STRATEGIES)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_round_in_which_nothing_was_added_makes_no_model(strategy) -> None:
    with pytest.raises(QuorumNotMet):
        step(numbers([1, 2, 3]), [], strategy=strategy)


# Round after round the mean of the two updates is 2, 3, 4.
WORLD: list[Weighed] = [[([1, 2, 3], 3), ([5, 6, 7], 1)]] * 2


def test_two_rounds_of_fedavgm_in_a_world_of_three_numbers() -> None:
    after = course([0, 0, 0], WORLD, strategy="fedavgm", server_momentum=0.5, server_lr=2.0)
    assert after.tolist() == [2 * (2 + 3), 2 * (3 + 4.5), 2 * (4 + 6)]


@pytest.mark.parametrize("strategy", ["fedadam", "fedyogi"])
def test_two_rounds_of_the_adaptive_rules_in_a_world_of_three_numbers(strategy) -> None:
    fields = {"beta1": 0.5, "beta2": 0.75, "tau": 0.5, "server_lr": 1.0}
    after = course([1, 0, -1], [[([0.5, 0.5, 0.5], 1)]] * 2, strategy=strategy, **fields)
    # v stays 1/4, so the denominator is 1; m is 1/4, then 3/8.
    assert after.tolist() == [1.625, 0.625, -0.375]


def test_two_rounds_of_fedadagrad_in_a_world_of_three_numbers() -> None:
    after = course(
        [0, 0, 0], [[([0.375, 0, -0.375], 1)]] * 2, strategy="fedadagrad", tau=0.5, server_lr=1.125
    )
    # v is 1/4 + 9/64 = (5/8)^2, then 1/4 + 18/64.
    second = 1.125 * 0.375 / (np.sqrt(0.25 + 2 * 0.375**2) + 0.5)
    assert after == pytest.approx([0.375 + second, 0, -0.375 - second], rel=1e-7)


@given(ROUNDS, THREE, RATES, st.sampled_from([0.0, 0.5, 0.9]))
def test_fedavgm_is_its_formula(rounds, start, lr, momentum) -> None:
    model, velocity = np.array(start), np.zeros(3)
    for mean in means(rounds):
        velocity = momentum * velocity + mean
        model = model + lr * velocity
    fields = {"strategy": "fedavgm", "server_lr": lr, "server_momentum": momentum}
    ours = course(start, rounds, **fields)
    np.testing.assert_allclose(ours, model, rtol=1e-5, atol=1e-2)


SECOND_MOMENTS = {
    "fedadam": lambda v, d, beta2: beta2 * v + (1 - beta2) * d * d,
    "fedyogi": lambda v, d, beta2: v - (1 - beta2) * d * d * np.sign(v - d * d),
    "fedadagrad": lambda v, d, _: v + d * d,
}


@pytest.mark.parametrize("strategy", SECOND_MOMENTS)
@given(ROUNDS, THREE, RATES, BETAS, BETAS, st.sampled_from([1e-3, 1e-1]))
def test_the_adaptive_rules_are_algorithm_2_without_bias_correction(
    strategy, rounds, start, lr, beta1, beta2, tau
) -> None:
    model, first, second = np.array(start), np.zeros(3), np.full(3, tau * tau)
    for mean in means(rounds):
        first = beta1 * first + (1 - beta1) * mean
        second = SECOND_MOMENTS[strategy](second, mean, beta2)
        assert (second >= 0).all()
        model = model + lr * first / (np.sqrt(second) + tau)
    fields = taken(strategy, server_lr=lr, beta1=beta1, beta2=beta2, tau=tau)
    ours = course(start, rounds, **fields)
    np.testing.assert_allclose(ours, model, rtol=1e-4, atol=1e-3)


def test_the_defaults_are_those_of_the_paper() -> None:
    parties: list[Weighed] = [[([0.5, 1, -2], 1)]]
    mean = np.array(parties[0][0][0])
    adam = 0.1 * 0.1 * mean / (np.sqrt(0.99 * 1e-6 + 0.01 * mean**2) + 1e-3)
    adagrad = 0.1 * mean / (np.sqrt(1e-6 + mean**2) + 1e-3)
    np.testing.assert_allclose(course([0, 0, 0], parties, strategy="fedadam"), adam, rtol=1e-6)
    np.testing.assert_allclose(
        course([0, 0, 0], parties, strategy="fedadagrad"), adagrad, rtol=1e-6
    )
    assert course([0, 0, 0], parties, strategy="fedavgm").tolist() == mean.tolist()


def test_two_rounds_of_fednova_in_a_world_of_three_numbers() -> None:
    updates = [(numbers([2, 4, 6]), 1), (numbers([4, 8, 12]), 3)]
    model = numbers([0, 0, 0])
    for _ in range(2):
        model = step(model, updates, normalisers=[2, 4], strategy="fednova").model
    # Both parties went [1, 2, 3] per step, and the mean number of steps is 3.5.
    assert model["w"].tolist() == [7, 14, 21]


@given(PARTIES, st.lists(st.floats(0.5, 1e3), min_size=4, max_size=4), RATES)
def test_fednova_is_its_formula(parties, lengths, lr) -> None:
    lengths = lengths[: len(parties)]
    shares = np.array([weight for _, weight in parties]) / sum(weight for _, weight in parties)
    steps = float(shares @ lengths)
    per_step = [
        np.array(values) / length for (values, _), length in zip(parties, lengths, strict=True)
    ]
    expected = lr * steps * sum(share * one for share, one in zip(shares, per_step, strict=True))
    updates = [(numbers(values), weight) for values, weight in parties]
    fields = {"strategy": "fednova", "server_lr": lr}
    ours = step(numbers([0, 0, 0]), updates, normalisers=lengths, **fields).model["w"]
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-2 * lr)


def test_two_rounds_of_scaffold_in_a_world_of_three_numbers() -> None:
    """Two of four members take part, all of the same weight: c moves by a quarter of each."""
    fields = {"everyone": 4.0, "strategy": "scaffold", "server_lr": 0.5}
    parties = [(controlled([2, 4, 6], [4, 0, 8]), 1.0), (controlled([4, 8, 2], [0, 4, 8]), 1.0)]
    first = step(numbers([0, 0, 0]), parties, **fields)
    assert first.model["w"].tolist() == [1.5, 3, 2]
    assert first.memory["control/w"].tolist() == [1, 1, 4]
    second = step(first.model, parties[:1], first.memory, **fields)
    assert second.model["w"].tolist() == [2.5, 5, 5]
    assert second.memory["control/w"].tolist() == [2, 1, 6]


def test_the_common_control_is_the_weighted_mean_of_the_parties_whoever_takes_part() -> None:
    weights, own = [1.0, 3.0, 4.0], np.zeros((3, 3))
    present = [[0, 1, 2], [1], [0, 2], [0]]
    random, now = np.random.default_rng(0), Step(numbers([0, 0, 0]))
    for parties in present:
        turns = {party: random.integers(-8, 8, 3).astype(float) for party in parties}
        updates = [(controlled([0, 0, 0], turns[party]), weights[party]) for party in parties]
        for party, turn in turns.items():
            own[party] += turn
        now = step(now.model, updates, now.memory, everyone=8.0, strategy="scaffold")
        expected = np.average(own, axis=0, weights=weights)
        np.testing.assert_allclose(now.memory["control/w"], expected, rtol=1e-6, atol=1e-6)


def test_a_member_that_comes_late_makes_the_others_share_of_the_control_less() -> None:
    alone = step(
        numbers([0, 0, 0]), [(controlled([0] * 3, [6] * 3), 1.0)], everyone=2.0, strategy="scaffold"
    )
    assert alone.memory["control/w"].tolist() == [3, 3, 3]
    both = [(controlled([0] * 3, [0] * 3), 1.0), (controlled([0] * 3, [9] * 3), 2.0)]
    now = step(alone.model, both, alone.memory, everyone=3.0, strategy="scaffold")
    assert now.memory["control/w"].tolist() == [2 + 6] * 3


def test_scaffold_finds_the_optimum_that_fedavg_misses_though_a_party_is_often_absent() -> None:
    """Two parties with losses a / 2 * (x - b)^2 in three numbers, five local steps of plain sgd."""
    curves, bottoms = np.array([1.0, 4.0]), np.array([[0.0, 1.0, 2.0], [8.0, 8.0, 8.0]])
    weights, lr, steps = np.array([3.0, 1.0]), 0.05, 5
    optimum = (weights * curves) @ bottoms / (weights @ curves)

    def train(strategy: str, now: Step, own: np.ndarray, party: int):
        common = now.memory.get("control/w", np.zeros(3))
        x = y = now.model["w"].astype(np.float64)
        for _ in range(steps):
            y = y - lr * (curves[party] * (y - bottoms[party]) - own[party] + common)
        if strategy == "fedavg":
            return (numbers(y - x), weights[party]), np.zeros(3)
        turn = (x - y) / (steps * lr) - common
        return (controlled(y - x, turn), weights[party]), turn

    def where(strategy: str) -> np.ndarray:
        now, own = Step(numbers([0, 0, 0])), np.zeros((2, 3))
        for number in range(300):
            present = [0, 1] if number % 3 or strategy == "fedavg" else [number % 2]
            made = [train(strategy, now, own, party) for party in present]
            updates = [update for update, _ in made]
            now = step(now.model, updates, now.memory, everyone=4.0, strategy=strategy)
            for party, (_, turn) in zip(present, made, strict=True):
                own[party] += turn
        return now.model["w"]

    np.testing.assert_allclose(where("scaffold"), optimum, rtol=1e-4)
    assert np.abs(where("fedavg") - optimum).min() > 0.1
