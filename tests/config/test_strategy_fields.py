"""The fields of the strategies: ranges, and what does not go together, in one sentence."""

from __future__ import annotations

import re

import pytest
import yaml

from fedcore.config.federation import SGD_ONLY, STRATEGIES
from fedcore.config.strategy_fields import ONLY_WITH
from fedcore.config.task import TaskFile, parse_task_file
from fedcore.errors import TaskFileError

MISTAKES = [
    ({"strategy": "scaffold"}, "training.optimizer is 'adam': write sgd, as scaffold is defined"),
    ({"strategy": "fednova"}, "training.optimizer is 'adam': write sgd, as fednova is defined"),
    ({"strategy": "fedadm"}, "federation.strategy is 'fedadm': no such strategy; did you mean"),
    ({"server_lr": 0}, "federation.server_lr is 0: write a number above 0.0 (learning rate at"),
    ({"server_momentum": 1}, "federation.server_momentum is 1: write a number below 1.0 (momentum"),
    ({"beta1": 1}, "federation.beta1 is 1: write a number below 1.0 (decay of the first moment"),
    ({"beta2": -1}, "federation.beta2 is -1: write 0.0 or more (decay of the second moment"),
    ({"tau": 0}, "federation.tau is 0: write a number above 0.0 (degree of adaptivity"),
    ({"control": "II"}, "federation.control is 'II': write 'option_1' or 'option_2' (scaffold's"),
]


def read(federation: dict, **sections: object) -> TaskFile:
    content = {
        "task_type": "classification",
        "model": {"name": "cnn", "input_size": [1, 16, 16], "num_classes": 2},
        "federation": federation,
        **sections,
    }
    return parse_task_file(yaml.safe_dump(content), "task.yaml")


@pytest.mark.parametrize(("federation", "sentence"), MISTAKES)
def test_a_mistake_is_one_sentence_with_file_field_value_and_remedy(federation, sentence) -> None:
    with pytest.raises(TaskFileError) as refused:
        read(federation)
    assert str(refused.value).startswith(f"task.yaml: {sentence}")


@pytest.mark.parametrize("strategy", ["scaffold", "fednova"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_strategies_for_sums_of_gradients_take_sgd_with_and_without_momentum(
    strategy, momentum
) -> None:
    task = read({"strategy": strategy}, training={"optimizer": "sgd", "momentum": momentum})
    assert task.federation.strategy == strategy


# A value of each field that belongs to some strategies, other than its default.
OTHERS: dict[str, object] = {
    "mu": 0.5,
    "server_momentum": 0.5,
    "beta1": 0.1,
    "beta2": 0.2,
    "tau": 1.0,
    "initial_v": "zero",
    "control": "option_1",
    "head_epochs": 2,
    "lam": 1.0,
    "hostile": 2,
    "selected": 3,
    "max_norm": 2.0,
    "buffer_size": 1,
    "staleness_exponent": 1.0,
    "mixing": 0.5,
}


@pytest.mark.parametrize("field", sorted(OTHERS))
def test_a_field_is_taken_by_its_strategies_and_refused_by_the_others(field) -> None:
    for strategy in STRATEGIES:
        training = {"training": {"optimizer": "sgd"}} if strategy in SGD_ONLY else {}
        said = {"strategy": strategy, field: OTHERS[field]}
        if strategy in ONLY_WITH[field]:
            assert getattr(read(said, **training).federation, field) == OTHERS[field]
            continue
        with pytest.raises(TaskFileError) as refused:
            read(said, **training)
        assert f"federation.{field} is {OTHERS[field]!r}: it counts with " in str(refused.value)
        assert f" alone, not with {strategy}: leave it out" in str(refused.value)


def test_every_field_that_belongs_to_some_strategies_is_known() -> None:
    assert OTHERS.keys() == ONLY_WITH.keys()
    assert {strategy for users in ONLY_WITH.values() for strategy in users} <= set(STRATEGIES)


@pytest.mark.parametrize(
    ("federation", "sentence"),
    [
        ({"strategy": "fedasync", "server_lr": 0.5}, "server_lr is 0.5: fedasync steps by mixing"),
        ({"strategy": "krum", "weighting": "images"}, "weighting is 'images': krum gives each"),
        ({"max_staleness": 3}, "max_staleness is 3: late updates are lost"),
        ({"strategy": "fedbuff", "participation": 0.5}, "participation is 0.5: fedbuff waits for"),
    ],
)
def test_what_would_do_nothing_is_refused(federation, sentence) -> None:
    with pytest.raises(TaskFileError, match=re.escape(f"federation.{sentence}")):
        read(federation)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_file_as_run_names_every_field_and_is_read_again(strategy) -> None:
    task = read({"strategy": strategy}, training={"optimizer": "sgd"})
    assert parse_task_file(task.to_yaml(), "again.yaml") == task
