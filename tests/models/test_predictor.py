"""The served model: rebuilt from two files, equal to what was evaluated, torch only when needed."""

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from fedcore.config.data import DataSection
from fedcore.config.federation import FederationSection
from fedcore.config.model import ModelSection
from fedcore.config.task import TaskFile
from fedcore.data.images import ArrayImages
from fedcore.errors import ModelError
from fedcore.models.catalogue import build
from fedcore.models.pixels import normalisation
from fedcore.models.predictor import Description, Predictor, describe
from fedcore.models.state import to_params
from fedcore.training.evaluation import predict
from fedcore.training.hardware import Hardware


def a_task(name="cnn", size=(3, 32, 32), **data):
    return TaskFile(
        task_type="classification",
        model=ModelSection(name=name, input_size=size),
        federation=FederationSection(),
        data=DataSection(**data),
    )


@pytest.fixture
def stored(tmp_path):
    def store(task):
        params = to_params(build(task.model, 3))
        save_file(params, tmp_path / "model.safetensors")
        (tmp_path / "model.json").write_text(json.dumps(describe(task).to_json()))
        return params, tmp_path / "model.json", tmp_path / "model.safetensors"

    return store


def test_missing_or_wrong_files_are_refused_in_one_sentence(stored, tmp_path):
    _, description, weights = stored(a_task())
    with pytest.raises(ModelError, match=r"gone\.json: no readable model description"):
        Predictor.from_files(tmp_path / "gone.json", weights)
    with pytest.raises(ModelError, match=r"gone\.safetensors"):
        Predictor.from_files(description, tmp_path / "gone.safetensors")
    description.write_text("{}")
    with pytest.raises(ModelError, match=r"it lacks model, normalisation or classes"):
        Predictor.from_files(description, weights)
    other = describe(a_task(size=(1, 32, 32))).to_json()
    description.write_text(json.dumps(other))
    with pytest.raises(ModelError, match=r"0\.weight, which has shape"):
        Predictor.from_files(description, weights)


@pytest.mark.parametrize(
    ("images", "complaint"),
    [
        (np.zeros((1, 1, 32, 32)), r"give shape \(N, 3, 32, 32\)"),
        (np.zeros((3, 32, 32)), r"give shape \(N, 3, 32, 32\)"),
        (np.full((1, 3, 32, 32), 255.0), "give pixels from 0 to 1"),
        (np.full((1, 3, 32, 32), np.nan), "give pixels from 0 to 1"),
    ],
)
def test_images_of_another_shape_or_range_are_refused(stored, images, complaint):
    _, *files = stored(a_task())
    with pytest.raises(ModelError, match=complaint):
        Predictor.from_files(*files).probabilities(images)


@pytest.mark.parametrize("name", ["cnn", "resnet18"])
@pytest.mark.parametrize("channels", [1, 3])
def test_served_probabilities_are_those_that_evaluation_counted(stored, name, channels):
    task = a_task(name, (channels, 32, 32))
    params, *files = stored(task)
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (70, channels, 32, 32), dtype=np.uint8)
    images = ArrayImages(pixels, random.integers(0, 2, 70), 70)
    counted = predict(build(task.model, 0), params, images, task, hardware=Hardware())
    served = Predictor.from_files(*files).probabilities(pixels.astype(np.float32) / 255)
    assert served.dtype == np.float32
    np.testing.assert_array_equal(served, counted.probabilities)


def test_the_request_is_left_as_it_was_and_no_images_give_no_rows(stored):
    _, *files = stored(a_task())
    predictor = Predictor.from_files(*files)
    images = np.random.default_rng(0).random((2, 3, 32, 32), dtype=np.float32)
    before = images.copy()
    np.testing.assert_allclose(predictor.probabilities(images).sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(images, before)
    assert predictor.probabilities(images[:0]).shape == (0, 2)


def test_a_description_survives_json_and_names_the_classes():
    description = describe(a_task(classes=("benign", "malignant")))
    again = Description.from_json(json.loads(json.dumps(description.to_json())))
    assert again == description
    assert again.classes == ("benign", "malignant")
    assert describe(a_task()).classes == ("0", "1")


def test_normalisation_is_imagenets_its_average_for_grey_or_none():
    assert normalisation(DataSection(), 3).mean == (0.485, 0.456, 0.406)
    assert normalisation(DataSection(), 1).std == pytest.approx((0.226,))
    nothing = normalisation(DataSection(normalize="none"), 3)
    assert nothing.mean == (0, 0, 0)
    assert nothing.std == (1, 1, 1)


def test_the_description_can_be_written_where_torch_is_missing():
    script = "import sys, fedcore.models.predictor; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def a_crossmodal_task():
    sizes = {"ct": {"input_size": (1, 16, 16)}, "xray": {"input_size": (3, 24, 20)}}
    model = ModelSection(name="cnn", modalities=sizes)
    return TaskFile(task_type="classification", model=model, federation=FederationSection())


@pytest.mark.parametrize(("modality", "shape"), [("ct", (1, 16, 16)), ("xray", (3, 24, 20))])
def test_a_cross_modal_model_answers_as_evaluation_counted(stored, modality, shape):
    task = a_crossmodal_task()
    params, *files = stored(task)
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (5, *shape), dtype=np.uint8)
    images = ArrayImages(pixels, random.integers(0, 2, 5), 5)
    network = build(task.model, 0, modality=modality)
    counted = predict(network, params, images, task.seen_by(modality), hardware=Hardware())
    served = Predictor.from_files(*files).probabilities(pixels.astype(np.float32) / 255, modality)
    np.testing.assert_array_equal(served, counted.probabilities)


@pytest.mark.parametrize("modality", [None, "mr"])
def test_a_cross_modal_model_must_be_told_the_modality(stored, modality):
    _, *files = stored(a_crossmodal_task())
    with pytest.raises(ModelError, match=r"modality is .*: known are: ct, xray"):
        Predictor.from_files(*files).probabilities(np.zeros((1, 1, 16, 16)), modality)
