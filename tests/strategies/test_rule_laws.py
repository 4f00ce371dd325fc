"""The laws that bind the rules: what they come down to, what they leave alone, what they keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rules_story import ROUNDS, THREE, controlled, course, numbers, step, taken

from fedcore.config.federation import STRATEGIES
from fedcore.config.robust import ROBUST
from fedcore.config.strategy_fields import ASYNCHRONOUS
from fedcore.params import Params
from fedcore.strategies import Step


@given(ROUNDS, THREE)
def test_fedavgm_without_momentum_is_fedavg_to_the_bit_in_every_round(rounds, start) -> None:
    plain = course(start, rounds, strategy="fedavg")
    still = course(start, rounds, strategy="fedavgm", server_momentum=0.0, server_lr=1.0)
    assert still.tobytes() == plain.tobytes()


@pytest.mark.parametrize("strategy", ["fedadam", "fedyogi"])
@given(ROUNDS, THREE)
def test_fedopt_with_the_plain_settings_is_fedavg_to_the_bit(strategy, rounds, start) -> None:
    """With beta1 = 0 and beta2 = 1 the denominator is 2 tau; with lr = 2 tau the step is FedAvg's.

    A power of two as tau keeps that exact in floating point.
    """
    fields = {"beta1": 0.0, "beta2": 1.0, "tau": 2.0**-10, "server_lr": 2.0**-9}
    ours = course(start, rounds, strategy=strategy, **fields)
    assert ours.tobytes() == course(start, rounds, strategy="fedavg").tobytes()


@given(ROUNDS, THREE, st.floats(0.1, 1e6))
def test_fednova_with_equal_steps_is_fedavg_to_the_bit(rounds, start, steps) -> None:
    now = numbers(start)
    for parties in rounds:
        updates = [(numbers(values), weight) for values, weight in parties]
        now = step(now, updates, normalisers=[steps] * len(parties), strategy="fednova").model
    assert now["w"].tobytes() == course(start, rounds, strategy="fedavg").tobytes()


@given(ROUNDS, THREE)
def test_scaffold_moves_the_model_as_fedavg_does(rounds, start) -> None:
    now = Step(numbers(start))
    for parties in rounds:
        updates = [(controlled(values, values), weight) for values, weight in parties]
        now = step(now.model, updates, now.memory, everyone=9.0, strategy="scaffold")
    assert now.model["w"].tobytes() == course(start, rounds, strategy="fedavg").tobytes()


# Those whose step is made of one weighted mean of all updates.
MEANS = [name for name in STRATEGIES if name not in (*ROBUST, *ASYNCHRONOUS)]
# Learning rates of the adaptive rules are no power of two: they divide, and the bits differ.
LIKE_THE_PARTY = [name for name in MEANS if not name.startswith("fedad") and name != "fedyogi"]


@pytest.mark.parametrize("strategy", LIKE_THE_PARTY)
@given(st.lists(st.integers(-1024, 1024), min_size=3, max_size=3), st.integers(1, 500))
def test_one_party_alone_takes_the_model_to_where_it_trained_it(strategy, trained, weight) -> None:
    start = np.array([1, 2, 3], np.float32)
    update = controlled(np.array(trained) - start, [0, 0, 0])
    if strategy != "scaffold":
        del update["control/w"]
    alone = step({"w": start}, [(update, weight)], normalisers=[7.5], strategy=strategy)
    assert alone.model["w"].tolist() == trained


@pytest.mark.parametrize("strategy", MEANS)
def test_statistics_and_counters_move_by_their_mean_whatever_the_strategy(strategy) -> None:
    start: Params = {
        "bn.num_batches_tracked": np.array(3, np.int64),
        "bn.running_var": np.full(3, 1, np.float32),
        "bn.weight": np.ones(3, np.float32),
    }
    update: Params = {
        "bn.num_batches_tracked": np.array(2, np.int64),
        "bn.running_var": np.full(3, -0.5, np.float32),
        "bn.weight": np.full(3, 0.25, np.float32),
    }
    plain = step(start, [(update, 1), (update, 1)], strategy="fedavg").model
    fields = taken(strategy, server_lr=8.0, beta1=0.5)
    first = step(start, [(update, 1), (update, 1)], normalisers=[1, 5], **fields)
    assert first.model["bn.running_var"].tolist() == [0.5] * 3
    assert first.model["bn.num_batches_tracked"] == 5
    assert first.model["bn.num_batches_tracked"].dtype == np.int64
    assert not any("running" in name or "num_batches" in name for name in first.memory)
    assert first.model["bn.weight"].tolist() != plain["bn.weight"].tolist()


@pytest.mark.parametrize("strategy", ["fedavgm", "fedadam", "fedyogi", "fedadagrad", "scaffold"])
def test_what_is_remembered_of_a_parameter_that_nobody_sent_waits_for_it(strategy) -> None:
    fields = taken(strategy, beta1=0.5)
    both: Params = {"a": np.ones(3, np.float32), "b": np.ones(3, np.float32)}
    sent: Params = {**both, "control/a": both["a"], "control/b": both["b"]}
    first = step(both, [(sent if strategy == "scaffold" else both, 1)], **fields)
    one: Params = {name: sent[name] for name in ("a", "control/a")}
    second = step(
        first.model,
        [(one if strategy == "scaffold" else {"a": both["a"]}, 1)],
        first.memory,
        **fields,
    )
    assert second.memory.keys() == first.memory.keys()
    kept = [name for name in first.memory if name.endswith("/b")]
    assert kept
    assert all(np.array_equal(second.memory[name], first.memory[name]) for name in kept)
    assert np.array_equal(second.model["b"], first.model["b"])


@pytest.mark.parametrize("strategy", ["fedadam", "fedyogi"])
def test_a_second_moment_that_begins_at_zero_is_the_first_square_weighed(strategy) -> None:
    """m = 0.1 d, v = 0.01 d^2: the step is lr * 0.1 d / (0.1 |d| + tau), by hand for d = 4."""
    fields = {"beta1": 0.9, "beta2": 0.99, "tau": 0.1, "server_lr": 0.5, "initial_v": "zero"}
    start, update = numbers([0.0, 0.0, 0.0]), numbers([4.0, -4.0, 0.0])
    moved = step(start, [(update, 1.0)], strategy=strategy, **fields).model["w"]
    assert np.allclose(moved, [0.4, -0.4, 0.0], rtol=1e-6, atol=0)


@pytest.mark.parametrize("strategy", ["fedbuff", "median"])
def test_a_learning_rate_at_the_coordinator_stretches_the_step(strategy) -> None:
    start, update = numbers([1.0, 2.0, 3.0]), numbers([4.0, -4.0, 8.0])
    fields = taken(strategy, hostile=0)
    whole = step(start, [(update, 1.0)], **fields).model["w"]
    half = step(start, [(update, 1.0)], server_lr=0.5, **fields).model["w"]
    assert whole.tolist() == [5.0, -2.0, 11.0]
    assert half.tolist() == [3.0, 0.0, 7.0]
