"""Warm-up, regularisation, clipping, smoothing, freezing: each against its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from training_plans import task_of

from fedcore.errors import ModelError
from fedcore.models.layers import head_names
from fedcore.models.state import to_params
from fedcore.params import digest, norm, subtract
from fedcore.training.freezing import require_freezable
from fedcore.training.gradient import mean_gradient
from fedcore.training.local import train_round
from fedcore.training.plan import plan_for
from fedcore.training.schedule import learning_rate

HEAD = {"11.weight", "11.bias"}


@pytest.fixture
def round_of(make_images, make_network, cpu):
    """One round from the task's initial weights, in one batch unless told otherwise."""

    def go(task, number=1):
        network, images = make_network(task), make_images()
        return train_round(
            network, to_params(network), images, task, party_id="1", number=number, hardware=cpu
        )

    return go


@pytest.fixture
def update_of(round_of, make_network):
    """The update of one round."""
    return lambda task, number=1: subtract(
        round_of(task, number).params, to_params(make_network(task))
    )


@pytest.fixture
def stepped(make_task, make_images, make_network):
    """One sgd step of rate 1 on one batch by the textbook: loss of (network, logits) in."""

    def go(task, loss):
        network, images = make_network(task).train(), make_images()
        logits = network(torch.from_numpy(images.pixels) / 255.0)
        loss(network, logits, torch.from_numpy(images.labels)).backward()
        return network

    return go


def one_step(make_task, **fields):
    return make_task(
        optimizer="sgd", momentum=0.0, lr=1.0, batch_size=24, normalize="none", **fields
    )


def test_the_gradients_of_both_terms_are_those_of_the_written_loss(make_task, update_of, stepped):
    task = one_step(make_task, l1=0.003, l2=0.02)

    def loss(network, logits, labels):
        weights = list(network.parameters())
        absolute = sum(one.abs().sum() for one in weights)
        squared = sum((one**2).sum() for one in weights)
        plain = torch.nn.functional.cross_entropy(logits, labels)
        return plain + 0.003 * absolute + 0.02 * squared

    moved = update_of(task)
    for name, one in stepped(task, loss).named_parameters():
        np.testing.assert_allclose(moved[name], -one.grad.numpy(), rtol=1e-3, atol=1e-5)


def test_with_sgd_l2_is_a_weight_decay_of_twice_its_size(make_task, update_of):
    ours = update_of(one_step(make_task, l2=0.25))
    theirs = update_of(one_step(make_task, weight_decay=0.5))
    for name, array in theirs.items():
        np.testing.assert_allclose(ours[name], array, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("penalty", [{"l1": 0.003, "l2": 0.02}, {"weight_decay": 0.04}])
def test_penalised_weights_leave_biases_and_norms_alone(make_task, update_of, penalty):
    free, all_ = (update_of(one_step(make_task, **one)) for one in ({}, penalty))
    weights = update_of(one_step(make_task, penalised="weights", **penalty))
    assert any(array.ndim == 1 for array in weights.values())
    for name, array in weights.items():
        expected = all_ if array.ndim > 1 else free
        np.testing.assert_array_equal(array, expected[name])
    assert any((all_[name] != free[name]).any() for name in free if free[name].ndim == 1)


def test_penalised_weights_decay_under_adamw_as_in_torchs_two_groups(make_task, update_of, stepped):
    fields = {"batch_size": 24, "normalize": "none", "lr": 0.01, "weight_decay": 0.5}
    task = make_task(optimizer="adamw", penalised="weights", **fields)
    network = stepped(
        task, lambda _, logits, labels: torch.nn.functional.cross_entropy(logits, labels)
    )
    before = {name: one.detach().numpy().copy() for name, one in network.named_parameters()}
    matrices = [one for one in network.parameters() if one.dim() > 1]
    vectors = [
        {"params": [one], "weight_decay": 0.0} for one in network.parameters() if one.dim() == 1
    ]
    torch.optim.AdamW([{"params": matrices}, *vectors], lr=0.01, weight_decay=0.5).step()
    moved = update_of(task)
    for name, one in network.named_parameters():
        step = one.detach().numpy() - before[name]
        np.testing.assert_allclose(moved[name], step, rtol=1e-3, atol=2e-5)


def test_scaffolds_gradient_decays_what_is_penalised(make_task, make_images, make_network, cpu):
    def gradient(**fields):
        task = make_task(optimizer="sgd", momentum=0.0, normalize="none", **fields)
        network, images = make_network(task), make_images()
        return mean_gradient(network, to_params(network), images, task, hardware=cpu)

    free, weights = gradient(), gradient(weight_decay=0.5, penalised="weights")
    for name, array in weights.items():
        assert (array != free[name]).any() == (array.ndim > 1)


def test_the_step_is_that_of_torchs_clipped_gradient(make_task, update_of, stepped):
    task = one_step(make_task, max_grad_norm=0.1)
    network = stepped(
        task, lambda _, logits, labels: torch.nn.functional.cross_entropy(logits, labels)
    )
    before = torch.nn.utils.clip_grad_norm_(network.parameters(), 0.1)
    moved = update_of(task)
    trained = {name: moved[name] for name, _ in network.named_parameters()}
    assert before > 0.1
    assert norm(trained) == pytest.approx(0.1, rel=1e-4)
    for name, one in network.named_parameters():
        np.testing.assert_allclose(moved[name], -one.grad.numpy(), rtol=1e-3, atol=1e-6)


def test_clipping_comes_after_what_else_is_added_to_the_gradient(make_task, update_of):
    task = one_step(make_task, max_grad_norm=0.1, l2=5.0)
    names = {name for name in update_of(task) if "running" not in name and "num_" not in name}
    assert norm({name: update_of(task)[name] for name in names}) == pytest.approx(0.1, rel=1e-4)


def test_smoothed_labels_are_those_of_the_written_mixture(make_task, round_of, stepped):
    task = one_step(make_task, label_smoothing=0.2)
    found = []

    def loss(_, logits, labels):
        truth = torch.nn.functional.one_hot(labels, 2) * 0.8 + 0.1
        mixed = -(truth * torch.log_softmax(logits, dim=1)).sum(dim=1).mean()
        found.append(mixed.item())
        return mixed

    stepped(task, loss)
    assert round_of(task).metrics["loss"] == pytest.approx(found[0], rel=1e-5)


@pytest.mark.parametrize("schedule", ["constant", "step", "cosine", "onecycle"])
@given(per_round=st.integers(1, 6), rise=st.integers(0, 3), steps=st.integers(0, 12))
def test_a_warm_up_multiplies_the_course_from_nearly_nothing_to_all(
    schedule, per_round, rise, steps
):
    fields = {"schedule": schedule, "lr": 0.1, "epochs": 5}
    by = {"warmup_rounds": rise} if steps == 0 else {"warmup_steps": steps}
    plain, warm = plan_for(task_of(**fields)), plan_for(task_of(**fields, **by))
    length = steps or rise * per_round
    for step in range(5 * per_round):
        factor = min(1.0, (step + 1) / length) if length else 1.0
        course = learning_rate(plain, step, 5 * per_round, per_round)
        rate = learning_rate(warm, step, 5 * per_round, per_round)
        assert rate == pytest.approx(course * factor, rel=1e-12)
        assert rate == course or step < length


def test_aids_that_are_set_to_nothing_change_no_bit(make_task, round_of):
    plain = make_task(batch_size=5, schedule="cosine")
    nothing = make_task(
        batch_size=5, schedule="cosine", l1=0.0, l2=0.0, warmup_rounds=0, label_smoothing=0.0,
        max_grad_norm=None, freeze=(), backbone_lr=1.0,
    )  # fmt: skip
    out_of_reach = make_task(batch_size=5, schedule="cosine", max_grad_norm=1e9)
    assert digest(round_of(nothing).params) == digest(round_of(plain).params)
    assert digest(round_of(out_of_reach).params) == digest(round_of(plain).params)


def test_frozen_layers_keep_every_bit_and_their_batch_norm_statistics(make_task, update_of):
    freeze = {"layers": "backbone", "until_round": 2}
    task = make_task(batch_size=5, weight_decay=0.1, freeze=[freeze])
    for number in (1, 2):
        moved = update_of(task, number)
        assert {name for name, array in moved.items() if array.any()} == HEAD
    assert all(array.any() for array in update_of(task, 3).values())


def test_a_frozen_head_a_named_layer_and_rounds_from_to(make_task, update_of):
    task = make_task(
        batch_size=5,
        freeze=[
            {"layers": "head", "from_round": 2, "until_round": 2},
            {"layers": "0", "from_round": 3},
        ],
    )
    still = [
        {name for name, array in update_of(task, number).items() if not array.any()}
        for number in (1, 2, 3, 9)
    ]
    assert still == [set(), HEAD, {"0.weight"}, {"0.weight"}]


def test_a_frozen_round_leaves_nothing_frozen_in_the_next(
    make_task, make_images, make_network, cpu
):
    task = make_task(batch_size=5, freeze=[{"layers": "backbone", "until_round": 1}])
    used, fresh, start = make_network(task), make_network(task), to_params(make_network(task))

    def bits(network, number):
        result = train_round(
            network, start, make_images(), task, party_id="1", number=number, hardware=cpu
        )
        return digest(result.params)

    bits(used, 1)
    assert bits(used, 2) == bits(fresh, 2)


@pytest.mark.parametrize(
    ("freeze", "said"),
    [
        ([{"layers": "layr4"}], r"training\.freeze is 'layr4': the network has no such layer"),
        ([{"layers": "hed"}], r"head \(the classifier\) or a layer's name; did you mean 'head'"),
        ([{"layers": "x"}], r"write backbone \(all but the classifier\), head \(the classifier\)"),
        ([{"layers": "backbone"}, {"layers": "head", "from_round": 2}], "in round 2 nothing is"),
    ],
)
def test_freezing_what_is_not_there_or_everything_is_refused(make_task, make_network, freeze, said):
    task = make_task(freeze=freeze, epochs=3)
    with pytest.raises(ModelError, match=said):
        require_freezable(make_network(task), plan_for(task))


def test_the_backbone_learns_at_its_own_rate(make_task, update_of):
    plain = update_of(one_step(make_task))
    slow = update_of(one_step(make_task, backbone_lr=0.25))
    for name, array in plain.items():
        factor = 1.0 if name in HEAD or "running" in name or "num_" in name else 0.25
        np.testing.assert_allclose(slow[name], array * factor, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("cnn", HEAD),
        ("resnet18", {"fc.weight", "fc.bias"}),
        ("mobilenet_v3_small", {"classifier.3.weight", "classifier.3.bias"}),
        ("squeezenet1_1", {"classifier.1.weight", "classifier.1.bias"}),
    ],
)
def test_the_head_is_the_last_layer_with_weights(make_task, make_network, name, head):
    assert head_names(make_network(make_task(name, (3, 64, 64)))) == head
