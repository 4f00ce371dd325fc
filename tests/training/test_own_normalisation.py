"""`data.normalize: own`: training, scores and the served model see an image alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from fedcore.data.images import measure_pixels
from fedcore.errors import DataError
from fedcore.models.predictor import Description, Predictor, describe
from fedcore.models.state import to_params
from fedcore.training.batches import Feed, draws
from fedcore.training.evaluation import predict
from fedcore.training.hardware import Hardware
from fedcore.training.plan import plan_for


def test_batches_have_mean_0_and_deviation_1_over_the_partys_training_pixels(
    make_task, make_images
):
    images = make_images(30, channels=3)
    own = replace(images, pixel_statistics=measure_pixels(images))
    plan = plan_for(make_task(size=(3, 16, 16), normalize="own", batch_size=30))
    (draw,) = draws(plan, 30, "1", 1)
    batch = Feed(own, plan, Hardware()).batch(draw)[0].double().numpy()
    np.testing.assert_allclose(batch.mean(axis=(0, 2, 3)), 0.0, atol=1e-5)
    np.testing.assert_allclose(batch.std(axis=(0, 2, 3)), 1.0, atol=1e-5)


def test_images_without_statistics_are_refused_where_the_task_wants_them(make_task, make_images):
    plan = plan_for(make_task(normalize="own"))
    with pytest.raises(DataError, match="open it anew"):
        Feed(make_images(), plan, Hardware())


def test_the_served_model_says_so_and_answers_what_evaluation_counted(
    make_task, make_images, make_network, tmp_path
):
    task, images = make_task(normalize="own", threads=1), make_images()
    own = measure_pixels(images)
    network = make_network(task)
    params = to_params(network)
    counted = predict(
        network, params, replace(images, pixel_statistics=own), task, hardware=Hardware()
    )
    save_file(params, tmp_path / "model.safetensors")
    description = describe(task)
    assert "normalised by its own" in description.to_json()["normalisation"]["own"]
    assert Description.from_json(description.to_json()) == description
    served = Predictor(description, tmp_path / "model.safetensors")
    mean, std = (np.float32(one).reshape(1, -1, 1, 1) for one in (own.mean, own.std))
    answers = served.probabilities((images.pixels / np.float32(255) - mean) / std)
    np.testing.assert_allclose(answers, counted.probabilities, atol=1e-6)
