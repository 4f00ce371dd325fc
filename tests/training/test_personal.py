"""FedRep's turns and Ditto's pull inside a round, against what their papers define."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fedcore.data.images import ArrayImages
from fedcore.errors import ModelError
from fedcore.models.layers import head_names
from fedcore.models.state import to_params
from fedcore.params import digest
from fedcore.rounds.party.personal import fine_tuning_task
from fedcore.training.corrections import Toward
from fedcore.training.freezing import require_freezable
from fedcore.training.local import train_round
from fedcore.training.plan import plan_for
from fedcore.training.schedule import learning_rate

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@pytest.fixture
def rounds(make_images, cpu):
    """One round in a network; gives the states after every step, the start before them."""

    def go(network, task, **options):
        seen = [to_params(network)]
        train_round(
            network, seen[0], make_images(12), task, party_id="1", number=1, hardware=cpu,
            on_step=lambda *_: seen.append(to_params(network)), **options,
        )  # fmt: skip
        return seen

    return go


def changed(before, after):
    """The names whose bits differ, statistics aside."""
    return {
        name
        for name in before
        if not name.endswith(STATISTICS) and not np.array_equal(before[name], after[name])
    }


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_fedrep_trains_the_head_alone_and_then_the_body_alone(
    rounds, make_task, make_network, optimizer
):
    task = make_task(strategy="fedrep", head_epochs=2, batch_size=4, optimizer=optimizer)
    network = make_network(task)
    seen = rounds(network, task)
    head = set(head_names(network))
    body = {name for name, _ in network.named_parameters()} - head
    assert len(seen) == 1 + 6 + 3
    assert changed(seen[0], seen[6]) == head
    assert changed(seen[6], seen[9]) == body
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_fedrep_leaves_what_is_frozen_anyway_as_it_is(rounds, make_task, make_network):
    frozen = ({"layers": "0"},)
    task = make_task(strategy="fedrep", head_epochs=1, batch_size=4, freeze=frozen)
    network = make_network(task)
    seen = rounds(network, task)
    assert np.array_equal(seen[0]["0.weight"], seen[-1]["0.weight"])
    assert not next(network.parameters()).requires_grad


@pytest.mark.parametrize("layers", ["head", "backbone"])
def test_a_turn_of_fedrep_without_anything_to_train_is_refused(make_task, make_network, layers):
    task = make_task(strategy="fedrep", head_epochs=1, freeze=({"layers": layers},))
    with pytest.raises(ModelError, match="nothing is left to train"):
        require_freezable(make_network(task), plan_for(task))


def test_fine_tuning_takes_over_nothing_that_belongs_to_the_rounds(make_task):
    task = make_task(
        finetune_epochs=2, freeze=({"layers": "head"},), warmup_rounds=3, backbone_lr=0.1
    )
    plan = plan_for(fine_tuning_task(task))
    assert plan.frozen_in(1) == ()
    assert (plan.rounds, plan.local_epochs, plan.backbone_lr) == (1, 2, 1.0)
    assert learning_rate(plan, 0, 10, 10) == plan.lr


def test_the_steps_of_the_head_come_on_top_of_the_rounds_own(make_task):
    plan = plan_for(make_task(strategy="fedrep", head_epochs=3, local_steps=5, batch_size=4))
    assert (plan.head_steps(12), plan.steps_per_round(12)) == (9, 14)
    plan = plan_for(make_task(strategy="fedavg", local_steps=5, batch_size=4))
    assert (plan.head_steps(12), plan.steps_per_round(12)) == (0, 5)


def test_dittos_step_is_the_papers(make_task, cpu):
    """v - lr * (gradient of the loss at v + lam * (v - w)), for a softmax regression in numpy."""
    task = make_task(
        size=(1, 8, 8), lr=0.5, optimizer="sgd", momentum=0.0, batch_size=3, normalize="none",
        strategy="ditto", lam=0.25,
    )  # fmt: skip
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (3, 1, 8, 8), dtype=np.uint8)
    truth = np.array([0, 1, 1])
    start = {
        "1.weight": rng.normal(size=(2, 64)).astype(np.float32),
        "1.bias": rng.normal(size=2).astype(np.float32),
    }
    center = {name: array + np.float32(0.5) for name, array in start.items()}
    result = train_round(
        nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), start, ArrayImages(pixels, truth, 3), task,
        party_id="1", number=1, hardware=cpu, toward=Toward(center, 0.25),
    )  # fmt: skip
    images = pixels.reshape(3, 64) / 255.0
    logits = images @ start["1.weight"].T.astype(np.float64) + start["1.bias"]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    error = (shares - np.eye(2)[truth]) / 3
    gradient = {"1.weight": error.T @ images, "1.bias": error.sum(axis=0)}
    for name, array in start.items():
        pull = 0.25 * (array.astype(np.float64) - center[name])
        expected = array - 0.5 * (gradient[name] + pull)
        np.testing.assert_allclose(result.params[name], expected, rtol=1e-5, atol=1e-6)


def test_a_pull_of_0_is_plain_training_to_the_bit(rounds, make_task, make_network):
    task = make_task(batch_size=4)
    plain = rounds(make_network(task), task)[-1]
    other = to_params(make_network(task.model_copy(update={"seed": 9})))
    pulled = rounds(make_network(task), task, toward=Toward(other, 0.0))[-1]
    assert digest(pulled) == digest(plain)


def test_the_pull_is_to_the_given_model_and_not_to_the_start(rounds, make_task, make_network):
    task = make_task(batch_size=4, optimizer="sgd", lr=0.01, local_epochs=20)
    other = to_params(make_network(task.model_copy(update={"seed": 9})))
    seen = rounds(make_network(task), task, toward=Toward(other, 20.0))
    names = [name for name, _ in make_network(task).named_parameters()]

    def apart(state):
        return sum(float(np.sum((state[name] - other[name]) ** 2)) for name in names) ** 0.5

    assert apart(seen[-1]) < 0.2 * apart(seen[0])
    assert torch.is_grad_enabled()
