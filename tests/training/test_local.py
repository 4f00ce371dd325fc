"""A round of local training: it learns, it refuses what cannot be learned from."""

import numpy as np
import pytest
import torch

from fedcore.errors import Interrupted, Refused, TrainingFailed
from fedcore.models.state import to_params
from fedcore.params import digest, norm, subtract
from fedcore.training.evaluation import evaluate
from fedcore.training.hardware import Hardware
from fedcore.training.local import train_round


@pytest.fixture
def round_of(make_images, make_network, cpu):
    """Train one round from the task's initial weights."""

    def go(task, images=None, start=None, number=1, hardware=cpu, **options):
        network = make_network(task)
        channels, side, _ = task.model.input_size
        return train_round(
            network,
            start or to_params(network),
            images or make_images(channels=channels, side=side),
            task,
            party_id="9999",
            number=number,
            hardware=hardware,
            **options,
        )

    return go


def test_a_loss_that_is_no_number_stops_the_round_in_one_sentence(
    make_task, round_of, make_network
):
    task = make_task(lr=0.5)
    start = to_params(make_network(task))
    start["11.weight"][:] = 3e38
    with pytest.raises(TrainingFailed, match=r"federation\.lr is 0\.5: .*lower the learning rate"):
        round_of(task, start=start)


def test_a_last_step_that_goes_wrong_is_noticed(make_task, round_of, make_network):
    task = make_task(local_steps=1)
    start = to_params(make_network(task))
    start["1.running_mean"][:] = np.inf
    with pytest.raises(TrainingFailed, match=r"after the last step .*running_mean"):
        round_of(task, start=start)


def test_a_start_of_another_network_is_refused(make_task, round_of, make_network):
    other = to_params(make_network(make_task(classes=3)))
    with pytest.raises(Refused, match="shape"):
        round_of(make_task(), start=other)


def test_one_image_alone_is_refused_where_batch_norm_cannot_learn_from_it(
    make_task, round_of, make_images
):
    task = make_task("resnet18", size=(1, 32, 32))
    with pytest.raises(TrainingFailed, match="2 images or more"):
        round_of(task, images=make_images(1, side=32))


def test_a_last_batch_of_one_joins_the_batch_before(make_task, round_of, make_images):
    task = make_task("resnet18", size=(1, 32, 32), batch_size=4)
    result = round_of(task, images=make_images(9, side=32))
    assert (result.steps, result.images) == (2, 9)


def test_whoever_watches_sees_every_step_and_may_stop(make_task, round_of):
    seen = []
    result = round_of(make_task(batch_size=5), on_step=lambda *step: seen.append(step))
    assert [step[:2] for step in seen] == [(n, 5) for n in range(1, 6)]
    assert result.steps == 5
    assert result.metrics["loss"] == pytest.approx(np.mean([s[2] for s in seen]), rel=0.2)

    def stop(done, total, loss):
        raise Interrupted("stopped")

    threads = torch.get_num_threads()
    with pytest.raises(Interrupted):
        round_of(make_task(), on_step=stop)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_simple_problem_is_learned(
    make_task, make_images, make_network, cpu, channels, optimizer
):
    task = make_task(
        size=(channels, 16, 16),
        optimizer=optimizer,
        lr=0.05 if optimizer == "sgd" else 0.01,
        epochs=4,
        batch_size=16,
        schedule="onecycle",
    )
    network = make_network(task)
    params = to_params(network)
    images, unseen = make_images(96, channels), make_images(64, channels, seed=1)
    for number in range(1, 5):
        params = train_round(
            network, params, images, task, party_id="1", number=number, hardware=cpu
        ).params
    assert evaluate(network, params, unseen, task, hardware=cpu).accuracy > 0.95


def test_the_round_equals_a_plain_loop(make_task, round_of, make_images, make_network):
    task, images = (
        make_task(optimizer="sgd", lr=0.1, batch_size=24, normalize="none"),
        make_images(),
    )
    network = make_network(task).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    logits = network(torch.from_numpy(images.pixels) / 255.0)
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(images.labels))
    loss.backward()
    optimizer.step()
    result = round_of(task, images)
    for name, array in to_params(network).items():
        np.testing.assert_allclose(result.params[name], array, rtol=1e-4, atol=1e-5)
    assert result.metrics["loss"] == pytest.approx(loss.item(), rel=1e-5)


def test_fedprox_without_weight_is_fedavg_bit_for_bit(make_task, round_of):
    plain = round_of(make_task(strategy="fedavg", local_epochs=2))
    prox = round_of(make_task(strategy="fedprox", mu=0.0, local_epochs=2))
    assert digest(prox.params) == digest(plain.params)


def test_the_proximal_term_holds_the_round_nearer_to_its_start(make_task, round_of, make_network):
    def way(mu):
        task = make_task(strategy="fedprox", mu=mu, optimizer="sgd", lr=0.01, local_epochs=6)
        trainable = dict(make_network(task).named_parameters())
        start = to_params(make_network(task))
        moved = subtract(round_of(task).params, start)
        return norm({name: moved[name] for name in trainable})

    assert way(0.0) > way(1.0) > way(20.0)


def test_the_proximal_gradient_is_that_of_the_written_term(
    make_task, round_of, make_images, make_network
):
    task = make_task(
        strategy="fedprox", mu=0.7, optimizer="sgd", momentum=0.0, lr=0.05, local_steps=3,
        batch_size=24, normalize="none",
    )  # fmt: skip
    images, network = make_images(), make_network(task).train()
    start = [one.detach().clone() for one in network.parameters()]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        logits = network(torch.from_numpy(images.pixels) / 255.0)
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(images.labels))
        pairs = zip(network.parameters(), start, strict=True)
        (loss + 0.35 * sum(((now - old) ** 2).sum() for now, old in pairs)).backward()
        optimizer.step()
    result = round_of(task, images).params
    for name, one in network.named_parameters():
        np.testing.assert_allclose(result[name], one.detach().numpy(), rtol=1e-3, atol=1e-5)


def test_l2_regularisation_shrinks_the_weights(make_task, round_of):
    plain, decayed = (
        norm(round_of(make_task(optimizer="sgd", lr=0.1, weight_decay=decay)).params)
        for decay in (0.0, 0.5)
    )
    assert decayed < plain


def test_balanced_class_weights_help_the_rare_class(make_task, make_images, make_network, cpu):
    images = make_images(64, labels=[0] * 58 + [1] * 6)
    even = make_images(40, seed=2, labels=[0, 1] * 20)

    def said_rare(kind):
        task = make_task(class_weights=kind, lr=0.003, local_epochs=2, batch_size=16)
        network = make_network(task)
        trained = train_round(
            network, to_params(network), images, task, party_id="1", number=1, hardware=cpu
        )
        return evaluate(network, trained.params, even, task, hardware=cpu).confusion[:, 1].sum()

    assert said_rare("balanced") > said_rare("none")


def test_balanced_weights_change_nothing_where_classes_are_even(make_task, round_of, make_images):
    images = make_images(24, labels=[0, 1] * 12)
    plain = round_of(make_task(batch_size=24), images)
    balanced = round_of(make_task(batch_size=24, class_weights="balanced"), images)
    assert balanced.metrics == pytest.approx(plain.metrics, rel=1e-6)


@pytest.mark.parametrize(
    "machine", [Hardware(channels_last=True), Hardware(bfloat16=True, channels_last=True)]
)
def test_other_layouts_and_precisions_learn_nearly_the_same(make_task, round_of, machine):
    plain = round_of(make_task())
    other = round_of(make_task(), hardware=machine)
    assert other.metrics["loss"] == pytest.approx(plain.metrics["loss"], rel=0.05)
    assert {str(array.dtype) for array in other.params.values()} == {"float32", "int64"}


def test_start_is_left_as_it_was(make_task, round_of, make_network):
    start = to_params(make_network(make_task()))
    before = digest(start)
    round_of(make_task(), start=start)
    assert digest(start) == before


def test_a_late_round_trains_at_the_rate_of_its_place_in_the_course(
    make_task, round_of, make_network
):
    task = make_task(
        schedule="cosine", optimizer="sgd", momentum=0.0, lr=0.1, epochs=10, batch_size=24
    )
    start = to_params(make_network(task))
    trainable = dict(make_network(task).named_parameters())

    def way(number):
        moved = subtract(round_of(task, number=number).params, start)
        return norm({name: moved[name] for name in trainable})

    assert way(6) / way(1) == pytest.approx(0.5, rel=1e-3)
    assert way(10) / way(1) == pytest.approx((1 + np.cos(0.9 * np.pi)) / 2, rel=1e-3)
