"""The fields of the strategies: ranges, and what does not go together, in one sentence."""

from __future__ import annotations

import pytest
import yaml

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


def test_what_a_strategy_does_not_use_may_stand_there() -> None:
    fields = {"server_momentum": 0.5, "beta1": 0.1, "beta2": 0.2, "tau": 1, "control": "option_1"}
    assert read({"strategy": "fedavg", **fields}).federation.tau == 1
