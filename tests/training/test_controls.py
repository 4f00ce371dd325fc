"""SCAFFOLD's half of local training: the correction of every gradient, and option I's gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from fedcore.errors import Interrupted
from fedcore.models.state import to_params
from fedcore.params import digest, learned
from fedcore.training.checkpoint import Checkpoint
from fedcore.training.gradient import mean_gradient
from fedcore.training.local import train_round


@pytest.fixture
def task(make_task):
    return make_task(optimizer="sgd", momentum=0.0, lr=0.1, batch_size=8, normalize="none")


@pytest.fixture
def offsets(task, make_network):
    """Some c - c_i for everything that is learned."""
    random = np.random.default_rng(0)
    start = learned(to_params(make_network(task)))
    return {
        name: random.normal(0, 0.1, array.shape).astype(np.float32) for name, array in start.items()
    }


@pytest.fixture
def train(make_images, make_network, cpu):
    def go(task, **options):
        network = make_network(task)
        return train_round(
            network, to_params(network), make_images(), task, party_id="1", number=1,
            hardware=cpu, **options,
        )  # fmt: skip

    return go


def test_without_offsets_the_round_is_fedavgs_to_the_bit(task, train):
    assert digest(train(task, offsets={}).params) == digest(train(task).params)


def test_each_step_follows_the_gradient_and_its_offset(
    make_task, train, offsets, make_images, make_network
):
    task = make_task(optimizer="sgd", momentum=0.0, lr=0.1, batch_size=24, normalize="none")
    images, network = make_images(), make_network(task).train()
    logits = network(torch.from_numpy(images.pixels) / 255.0)
    cross_entropy(logits, torch.from_numpy(images.labels)).backward()
    trained = train(task, offsets=offsets).params
    for name, parameter in network.named_parameters():
        expected = parameter.detach() - 0.1 * (parameter.grad + torch.from_numpy(offsets[name]))
        np.testing.assert_allclose(trained[name], expected, rtol=1e-4, atol=1e-5)


def test_an_offset_pulls_every_step_where_it_is_named_and_nowhere_else(task, train, offsets):
    name = next(iter(offsets))
    pulled, plain = train(task, offsets={name: offsets[name]}).params, train(task).params
    assert not np.array_equal(pulled[name], plain[name])
    one_step = task.federation.model_copy(update={"local_steps": 1})
    once = task.model_copy(update={"federation": one_step})
    pulled, plain = train(once, offsets={name: offsets[name]}).params, train(once).params
    assert [other for other in plain if not np.array_equal(pulled[other], plain[other])] == [name]


def test_a_corrected_round_that_is_stopped_goes_on_to_the_same_bits(task, train, offsets, tmp_path):
    def stop(done, *_):
        if done == 2:
            raise Interrupted("stopped")

    def place():
        return Checkpoint(tmp_path, {"base": "x"}, every=0.0, clock=lambda: 0.0)

    whole = train(task, offsets=offsets)
    with pytest.raises(Interrupted):
        train(task, offsets=offsets, checkpoint=place(), on_step=stop)
    seen = []
    again = train(
        task, offsets=offsets, checkpoint=place(), on_step=lambda done, *_: seen.append(done)
    )
    assert seen == [3]
    assert digest(again.params) == digest(whole.params)
    assert again.rates == whole.rates == (0.1,) * 3


def test_a_checkpoint_of_other_offsets_is_not_gone_on_with(task, train, offsets, tmp_path):
    place = Checkpoint(tmp_path, {"base": "x"}, every=0.0, clock=lambda: 0.0)
    train(task, checkpoint=place)
    seen = []
    train(task, offsets=offsets, checkpoint=place, on_step=lambda done, *_: seen.append(done))
    assert seen == [1, 2, 3]


def test_the_mean_gradient_is_that_of_the_loss_over_all_images(
    make_task, make_images, make_network, cpu
):
    """One batch of all images here, and the same of three uneven ones without BatchNorm."""
    images = make_images(20)
    task = make_task(optimizer="sgd", batch_size=32, normalize="none", weight_decay=0.01)
    network = make_network(task).train()
    start = to_params(network)
    logits = network(torch.from_numpy(images.pixels) / 255.0)
    cross_entropy(logits, torch.from_numpy(images.labels)).backward()
    found = mean_gradient(make_network(task), start, images, task, hardware=cpu)
    for name, parameter in network.named_parameters():
        expected = parameter.grad + 0.01 * parameter.detach()
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-6)


def test_the_mean_gradient_weighs_uneven_batches_by_their_images(
    make_task, make_images, make_network, cpu, monkeypatch
):
    images, task = make_images(20), make_task(optimizer="sgd", batch_size=8, normalize="none")
    network = make_network(task)
    for module in network.modules():  # without batch statistics, batches add up exactly
        if isinstance(module, torch.nn.BatchNorm2d):
            module.track_running_stats = True
            monkeypatch.setattr(module, "train", lambda mode=True, one=module: one)
            module.training = False
    start = to_params(network)
    found = mean_gradient(network, start, images, task, hardware=cpu)
    logits = network(torch.from_numpy(images.pixels) / 255.0)
    cross_entropy(logits, torch.from_numpy(images.labels)).backward()
    for name, parameter in network.named_parameters():
        np.testing.assert_allclose(found[name], parameter.grad, rtol=1e-3, atol=1e-6)


def test_the_mean_gradient_is_the_same_each_time(task, make_images, make_network, cpu):
    network = make_network(task)
    start, images = to_params(network), make_images()
    first = mean_gradient(network, start, images, task, hardware=cpu)
    again = mean_gradient(network, start, images, task, hardware=cpu)
    assert digest(first) == digest(again)
