"""Settings by which a protocol is repeated: each against torch's own, or its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from training_plans import task_of

from fedcore.config.base import validate
from fedcore.config.training import TrainingSection
from fedcore.errors import DataError, TaskFileError
from fedcore.models.state import to_params
from fedcore.params import digest
from fedcore.training.batches import draws
from fedcore.training.carried import Carried
from fedcore.training.local import train_round
from fedcore.training.plan import batch_bounds, plan_for


def a_plan(**fields):
    return plan_for(task_of(**fields))


@pytest.fixture
def rounds_of(make_images, make_network, cpu):
    """Train a party's rounds, each from where the one before stopped; the last result."""

    def go(task, numbers=(1, 2, 3), images=None):
        network = make_network(task)
        params, carried, result = to_params(network), Carried(), None
        for number in numbers:
            result = train_round(
                network,
                params,
                images or make_images(),
                task,
                party_id="1",
                number=number,
                hardware=cpu,
                carried=carried,
            )
            params, carried = result.params, result.carried
        return result

    return go


def plain_loop(task, images, network, optimizer, orders):
    """The textbook loop over batches of these indices, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    network.train()
    for indices in orders:
        optimizer.zero_grad()
        pixels = torch.from_numpy(images.pixels[indices]).float().div(torch.tensor(255.0))
        truth = torch.from_numpy(images.labels[indices])
        torch.nn.functional.cross_entropy(network(pixels), truth).backward()
        optimizer.step()
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)
    return to_params(network)


OPTIMIZERS = {
    "sgd": (
        {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.01},
        lambda params: torch.optim.SGD(params, 0.05, momentum=0.9, weight_decay=0.01, fused=True),
    ),
    "nesterov": (
        {"optimizer": "sgd", "momentum": 0.5, "nesterov": True},
        lambda params: torch.optim.SGD(params, 0.05, momentum=0.5, nesterov=True, fused=True),
    ),
    "dampening": (
        {"optimizer": "sgd", "momentum": 0.5, "dampening": 0.3},
        lambda params: torch.optim.SGD(params, 0.05, momentum=0.5, dampening=0.3, fused=True),
    ),
    "adam": (
        {"optimizer": "adam", "betas": (0.8, 0.95), "eps": 1e-4},
        lambda params: torch.optim.Adam(params, 0.05, betas=(0.8, 0.95), eps=1e-4, fused=True),
    ),
    "amsgrad": (
        {"optimizer": "adamw", "amsgrad": True, "weight_decay": 0.1},
        lambda params: torch.optim.AdamW(params, 0.05, weight_decay=0.1, amsgrad=True, fused=True),
    ),
    "rmsprop": (
        {"optimizer": "rmsprop", "weight_decay": 0.01},
        lambda params: torch.optim.RMSprop(params, 0.05, weight_decay=0.01),
    ),
    "rmsprop centred": (
        {"optimizer": "rmsprop", "alpha": 0.8, "eps": 1e-3, "momentum": 0.5, "centered": True},
        lambda params: torch.optim.RMSprop(params, 0.05, 0.8, 1e-3, momentum=0.5, centered=True),
    ),
    "adagrad": (
        {"optimizer": "adagrad"},
        lambda params: torch.optim.Adagrad(params, 0.05),
    ),
    "adagrad decayed": (
        {
            "optimizer": "adagrad",
            "lr_decay": 0.1,
            "weight_decay": 0.01,
            "initial_accumulator_value": 0.5,
            "eps": 1e-3,
        },
        lambda params: torch.optim.Adagrad(
            params, 0.05, 0.1, 0.01, initial_accumulator_value=0.5, eps=1e-3
        ),
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_kept_optimiser_over_three_rounds_is_one_long_training_bit_for_bit(
    name, make_task, make_images, make_network, rounds_of
):
    fields, make = OPTIMIZERS[name]
    task = make_task(
        lr=0.05, epochs=3, batch_size=8, normalize="none", optimizer_state="kept",
        loader="continuing", **fields,
    )  # fmt: skip
    images, network, plan = make_images(20), make_network(task), plan_for(task)
    orders = [draw.indices for taken in (0, 3, 6) for draw in draws(plan, 20, "1", 9, taken)]
    ours = rounds_of(task, images=images)
    theirs = plain_loop(task, images, network, make(network.parameters()), orders)
    assert len(orders) == ours.carried.steps == 9
    assert digest(ours.params) == digest(theirs)


def test_an_optimiser_has_torchs_own_defaults_unless_the_task_file_says_else():
    rmsprop, adagrad = TrainingSection(optimizer="rmsprop"), TrainingSection(optimizer="adagrad")
    assert (rmsprop.momentum, rmsprop.eps) == (0.0, 1e-8)
    assert (adagrad.momentum, adagrad.eps) == (0.9, 1e-10)
    assert TrainingSection(optimizer="rmsprop", momentum=0.9).momentum == 0.9
    assert TrainingSection(optimizer="adagrad", eps=1e-8).eps == 1e-8


def test_a_fresh_optimiser_is_another_training_than_a_kept_one(make_task, rounds_of):
    fresh, kept = (
        rounds_of(make_task(batch_size=8, optimizer_state=one)) for one in ("fresh", "kept")
    )
    assert digest(fresh.params) != digest(kept.params)
    assert fresh.carried.optimizer == {}
    first = [
        rounds_of(make_task(batch_size=8, optimizer_state=one), [1]) for one in ("fresh", "kept")
    ]
    assert digest(first[0].params) == digest(first[1].params)


def test_what_is_carried_comes_back_from_its_file_bit_for_bit(make_task, rounds_of):
    carried = rounds_of(make_task(optimizer_state="kept")).carried
    again = Carried.from_params(carried.to_params())
    assert again.fingerprint() == carried.fingerprint()
    assert carried.optimizer


@given(
    images=st.integers(2, 40),
    size=st.integers(1, 12),
    steps=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    join=st.booleans(),
)
def test_a_continuing_loader_shows_every_image_once_before_any_twice(images, size, steps, join):
    def plan(count):
        fields = {"batch_size": size, "loader": "continuing", "join_single": join}
        return a_plan(local_steps=count, **fields)

    taken, seen = 0, []
    for count in steps:
        seen += [draw.indices for draw in draws(plan(count), images, "1", 5, taken)]
        taken += count
    whole = [draw.indices for draw in draws(plan(sum(steps)), images, "1", 1, 0)]
    assert [one.tolist() for one in seen] == [one.tolist() for one in whole]
    flat = np.concatenate(seen)
    passes = [flat[start : start + images] for start in range(0, len(flat), images)]
    assert all(len(set(one.tolist())) == len(one) for one in passes)
    assert np.ptp(np.bincount(flat, minlength=images)) <= 1


def test_a_continuing_loader_hangs_on_the_steps_done_and_not_on_the_rounds(make_task):
    plan = plan_for(make_task(loader="continuing", local_steps=3, batch_size=4))

    def order(number, taken, party="1"):
        return [draw.indices.tolist() for draw in draws(plan, 10, party, number, taken)]

    assert order(2, 3) == order(9, 3)  # rounds that the party missed
    assert order(2, 3) != order(2, 6)
    assert order(2, 3) != order(2, 3, "2")


def test_data_seed_turns_the_order_and_leaves_the_initial_weights(make_task, make_network):
    task = make_task(batch_size=4)
    same = task.model_copy(update={"data_seed": task.seed})
    other = task.model_copy(update={"data_seed": 7})

    def order(of):
        return [draw.indices.tolist() for draw in draws(plan_for(of), 20, "1", 1)]

    assert order(task) == order(same) != order(other)
    assert digest(to_params(make_network(task))) == digest(to_params(make_network(other)))


def test_data_seed_equal_to_seed_changes_no_bit(make_task, rounds_of):
    task = make_task(batch_size=8, augment="flip")
    same = rounds_of(task.model_copy(update={"data_seed": 0}))
    assert digest(same.params) == digest(rounds_of(task).params)


def test_without_shuffling_every_pass_goes_through_the_images_as_they_lie():
    plan = a_plan(batch_size=4, shuffle=False, local_epochs=2)
    flat = np.concatenate([draw.indices for draw in draws(plan, 10, "1", 3)])
    assert flat.tolist() == [*range(10), *range(10)]


@given(images=st.integers(0, 200), size=st.integers(1, 40))
def test_drop_last_leaves_full_batches_alone(images, size):
    bounds = batch_bounds(images, size, drop_last=True)
    assert [end - start for start, end in bounds] == [size] * (images // size)


def test_a_full_batch_is_the_whole_training_split_bit_for_bit(
    make_task, make_images, make_network, rounds_of
):
    fields = {"lr": 0.05, "normalize": "none", "shuffle": False, "local_epochs": 2}
    task = make_task(batch_size="full", optimizer="sgd", momentum=0.0, **fields)
    images, network = make_images(21), make_network(task)
    ours = rounds_of(task, [1], images)
    optimizer = torch.optim.SGD(network.parameters(), 0.05, fused=True)
    theirs = plain_loop(task, images, network, optimizer, [np.arange(21)] * 2)
    assert ours.steps == 2
    assert digest(ours.params) == digest(theirs)
    assert plan_for(make_task(batch_size="full", drop_last=True)).bounds(21) == [(0, 21)]
    assert plan_for(task).bounds(0) == []


@given(images=st.integers(0, 200), size=st.integers(1, 40))
def test_a_single_image_may_stay_alone_as_in_torchs_loader(images, size):
    lengths = [end - start for start, end in batch_bounds(images, size, join_single=False)]
    loader = torch.utils.data.BatchSampler(range(images), size, drop_last=False)
    assert lengths == [len(batch) for batch in loader]


def test_a_party_too_small_for_a_full_batch_is_told_what_to_write(make_task, rounds_of):
    with pytest.raises(DataError, match=r"training\.drop_last is True: .*\(24\).*write false"):
        rounds_of(make_task(batch_size=32, drop_last=True))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"nesterov": True, "momentum": 0.0}, "training.nesterov|nesterov is True"),
        ({"nesterov": True, "dampening": 0.1}, "no dampening"),
        ({"warmup_rounds": 2, "warmup_steps": 5}, "warmup_steps is 5: give one of the two"),
        ({"betas": [0.9, 1.0]}, "below 1"),
        ({"class_weights": [1, 0]}, "write none, balanced, or a list of one number above 0 per cl"),
        ({"class_weights": "equal"}, "class_weights is 'equal': write none, balanced"),
        ({"class_weights": [1, 2], "positive_weight": 3}, "positive_weight is 3.0: give one of th"),
        (
            {"focal_gamma": 2, "label_smoothing": 0.1},
            "label_smoothing is 0.1: focal_gamma is defined",
        ),
        ({"schedule": "multistep"}, r"milestones is \(\): give them together with schedule"),
        ({"milestones": [3]}, "schedule is constant"),
        ({"schedule": "multistep", "milestones": [5, 3]}, "each round once, ascending"),
        ({"schedule": "multistep", "milestones": [0]}, "milestones.0 is 0: write 1 or more"),
        ({"schedule": "step", "schedule_unit": "step"}, "schedule step counts rounds: write round"),
        ({"freeze": {"layers": "head", "from_round": 3, "until_round": 2}}, "until_round is 2"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(fields, said):
    with pytest.raises(TaskFileError, match=said):
        validate(TrainingSection, fields, "task.yaml", TaskFileError)
