"""What strategies come down to, in whole small trainings, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from rounds_story import Time, task_file
from worlds import opened

from fedcore.data.cohort import Cohort
from fedcore.exchange.memory import MemoryStore
from fedcore.models.catalogue import build
from fedcore.models.state import to_params
from fedcore.params import add, digest, subtract
from fedcore.simulation import World, simulate_cohorts
from fedcore.training.local import train_round


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Cohort]:
    return opened(tmp_path_factory.mktemp("hospitals"))


def world(folder: Path) -> World:
    time = Time()
    return World(folder, MemoryStore(), time.watch(), wall_clock=time.clock)


SGD = {"optimizer": "sgd"}


@pytest.mark.parametrize(
    "federation",
    [
        {"strategy": "scaffold", "epochs": 1},
        {"strategy": "fednova", "local_steps": 3},
        {"strategy": "fedavgm", "server_momentum": 0.0},
        {"strategy": "fedadam", "beta1": 0, "beta2": 1, "tau": 2.0**-10, "server_lr": 2.0**-9},
    ],
    ids=["scaffold with zero controls", "fednova with equal steps", "fedavgm", "fedadam"],
)
def test_a_strategy_that_has_nothing_to_do_is_fedavg_to_the_bit(
    federation, cohorts, tmp_path
) -> None:
    shared = {one: federation[one] for one in ("epochs", "local_steps") if one in federation}
    plain = simulate_cohorts(task_file(SGD, **shared), cohorts, world(tmp_path / "a"))
    other = simulate_cohorts(task_file(SGD, **federation), cohorts, world(tmp_path / "b"))
    assert digest(plain.final) == digest(other.final)


def test_scaffold_with_one_party_alone_is_fedavg_in_every_round(cohorts, tmp_path) -> None:
    """The common control is then the party's own, and nothing is corrected."""
    alone = {"1": cohorts["1"]}
    plain = simulate_cohorts(task_file(SGD, epochs=3), alone, world(tmp_path / "a"))
    task = task_file(SGD, strategy="scaffold", epochs=3)
    scaffold = simulate_cohorts(task, alone, world(tmp_path / "b"))
    assert digest(scaffold.final) == digest(plain.final)


@pytest.mark.parametrize("strategy", ["fedavg", "fedavgm", "fednova", "scaffold"])
def test_one_party_alone_equals_local_training(strategy, cohorts, tmp_path) -> None:
    task = task_file(SGD, strategy=strategy, epochs=1)
    network = build(task.model, task.seed)
    start = to_params(network)
    alone = train_round(network, start, cohorts["1"].train, task, party_id="1", number=1).params
    outcome = simulate_cohorts(task, {"1": cohorts["1"]}, world(tmp_path))
    # In float32, start + (trained - start) is trained to the last bit but a few.
    assert digest(outcome.final) == digest(add(start, subtract(alone, start)))
