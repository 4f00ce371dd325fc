"""Scores: exact counts, the same however the images are batched or laid out."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fedcore.data.images import ArrayImages
from fedcore.errors import Refused
from fedcore.metrics import pool
from fedcore.models.state import to_params
from fedcore.params import digest
from fedcore.training.evaluation import evaluate, withhold


def test_params_of_another_network_are_refused(make_task, make_images, make_network):
    task = make_task()
    params = to_params(make_network(make_task(classes=3)))
    with pytest.raises(Refused, match="shape"):
        evaluate(make_network(task), params, make_images(), task)


def test_no_images_give_empty_scores(make_task, make_images, make_network):
    task = make_task()
    network = make_network(task)
    scores = evaluate(network, to_params(network), make_images(0), task)
    assert (scores.images, scores.patients, scores.loss_sum) == (0, 0, 0.0)


def test_scores_are_those_of_a_plain_forward_pass(make_task, make_images, make_network, cpu):
    task, images = make_task(normalize="none"), make_images(70)
    network = make_network(task)
    params = to_params(network)
    scores = evaluate(network, params, images, task, hardware=cpu)
    truth = torch.from_numpy(images.labels)
    with torch.no_grad():
        logits = make_network(task).eval()(torch.from_numpy(images.pixels).float() / 255)
    loss = torch.nn.functional.cross_entropy(logits.double(), truth)
    assert scores.loss == pytest.approx(float(loss), rel=1e-5)
    assert scores.accuracy == float((logits.argmax(1) == truth).double().mean())
    assert (scores.images, scores.patients) == (70, 70)


def test_scoring_changes_neither_the_params_nor_the_batch_norm(
    make_task, make_images, make_network, cpu
):
    task = make_task()
    network = make_network(task)
    params = to_params(network)
    before = digest(params)
    first = evaluate(network, params, make_images(), task, hardware=cpu)
    again = evaluate(network, params, make_images(), task, hardware=cpu)
    assert digest(params) == digest(to_params(network)) == before
    assert first.to_json() == again.to_json()


def test_the_tasks_batch_size_changes_nothing(make_task, make_images, make_network, cpu):
    images = make_images(70)
    found = []
    for size in (1, 7, 64):
        task = make_task(batch_size=size)
        network = make_network(task)
        found.append(evaluate(network, to_params(network), images, task, hardware=cpu).to_json())
    assert found[0] == found[1] == found[2]


def test_the_order_of_images_and_their_division_change_no_count(
    make_task, make_images, make_network, cpu
):
    task, images = make_task(), make_images(100)
    network = make_network(task)
    params = to_params(network)

    def score(places):
        part = ArrayImages(images.pixels[places], images.labels[places], len(places))
        return evaluate(network, params, part, task, hardware=cpu)

    whole = score(np.arange(100))
    shuffled = score(np.random.default_rng(1).permutation(100))
    parts = pool([score(np.arange(37)), score(np.arange(37, 100))])
    for other in (shuffled, parts):
        np.testing.assert_array_equal(other.confusion, whole.confusion)
        assert other.loss_sum == pytest.approx(whole.loss_sum, rel=1e-6)


def test_scores_over_too_few_patients_are_withheld(make_task, make_images, make_network, cpu):
    task = make_task()
    network = make_network(task)
    scores = evaluate(network, to_params(network), make_images(6), task, hardware=cpu)
    assert withhold(replace(scores, patients=4), 5) is None
    assert withhold(replace(scores, patients=5), 5).patients == 5
