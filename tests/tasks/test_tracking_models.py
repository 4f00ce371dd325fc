"""The registered model: made without torch, loaded where fedcore is not, equal to the network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import mlflow
import numpy as np
import pytest
import training_story as story
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from safetensors.numpy import save_file
from test_tracking_runs import open_training, runs_of, wanted, written

import tasks.tracking_registry as registry
from fedcore.errors import ModelError
from fedcore.models.catalogue import build
from fedcore.models.predictor import Description, Predictor
from fedcore.models.predictor import describe as described
from fedcore.models.state import to_params
from tasks.tracking import Tracking, TrackingAway, fetch_weights
from tasks.tracking_notes import description
from tasks.tracking_package import describe

ROOT = Path(__file__).resolve().parents[2]
REGISTER = """
import json, sys
from pathlib import Path
import training_story as story
from tasks.tracking import Tracking
uri, name, artifacts, weights = sys.argv[1:]
task = story.task_file(name=name)
tracking = Tracking.open(uri, task, story.agreement(task), story.hellos(task))
made = tracking.finish(story.end(), story.records(12), Path(artifacts), Path(weights))
reached = [name for name in ("torch", "torchvision", "pydicom") if name in sys.modules]
print(json.dumps([made, reached]))
"""
LOAD = """
import json, sys
import mlflow, numpy as np
uri, images, answers = sys.argv[1:4]
mlflow.set_tracking_uri(uri)
for number, model in enumerate(sys.argv[4:]):
    loaded = mlflow.pyfunc.load_model(model)
    np.save(f"{answers}/{number}.npy", loaded.predict(np.load(images)))
import fedcore
print(json.dumps([fedcore.__file__, loaded.metadata.signature.to_dict()]))
"""


def python(program: str, *arguments: object, path: str = "") -> list:
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def images(count: int = 5) -> np.ndarray:
    return np.random.default_rng(1).random((count, 3, 28, 28), dtype=np.float32)


def finished(uri, task, artifacts, weights, run=story.RUN) -> str:
    tracking = open_training(uri, task, run)
    return tracking.finish(story.end(run=run), story.records(12, run=run), artifacts, weights)


@pytest.mark.parametrize("name", ["models:/x", "chest@champion", "models:/a/b@c", "models:/a/one"])
def test_an_address_of_another_form_is_refused_with_the_right_one(database, tmp_path, name):
    with pytest.raises(ModelError, match="write models:/name@alias or models:/name/3"):
        fetch_weights(name, database, tmp_path)


@pytest.mark.parametrize("name", ["models:/nobody/1", "models:/nobody@champion"])
def test_a_model_that_is_not_there_is_one_sentence(database, tmp_path, name):
    with pytest.raises(ModelError, match="no such name, version or alias"):
        fetch_weights(name, database, tmp_path)


def test_a_registered_model_of_another_kind_has_no_weights_for_us(database, tmp_path, task):
    client = MlflowClient(database, database)
    (tmp_path / "alien").mkdir()
    client.create_registered_model(task.name)
    client.create_model_version(task.name, str(tmp_path / "alien"))
    with pytest.raises(ModelError, match="name a model that fedcore registered"):
        fetch_weights(f"models:/{task.name}/1", database, tmp_path)


def test_a_registered_model_is_loaded_elsewhere_and_is_the_network(
    database, tmp_path, task, artifacts, weights
):
    made, reached = python(
        *(REGISTER, database, task.name, artifacts, weights), path=f"{ROOT}:{ROOT / 'tests'}"
    )
    assert made == f"{task.name}/1"
    assert reached == []
    np.save(tmp_path / "images.npy", images())
    names = [f"models:/{task.name}@challenger", f"models:/{task.name}/1"]
    package, signature = python(LOAD, database, tmp_path / "images.npy", tmp_path, *names)
    direct = Predictor(described(task, story.CLASSES), weights).probabilities(images())
    for number in range(2):
        answer = np.load(tmp_path / f"{number}.npy")
        assert answer.dtype == np.float32
        np.testing.assert_allclose(answer, direct, rtol=0, atol=1e-6)
    assert not Path(package).is_relative_to(ROOT)
    assert '"shape": [-1, 3, 28, 28]' in signature["inputs"]
    assert '"shape": [-1, 2]' in signature["outputs"]


def test_nothing_in_a_registered_model_is_a_pickle(database, task, artifacts, weights):
    finished(database, task, artifacts, weights)
    client = MlflowClient(database, database)
    [logged] = client.search_logged_models([client.get_experiment_by_name(task.name).experiment_id])
    folder = Path(logged.artifact_location.removeprefix("file://"))
    endings = Counter(path.suffix for path in folder.rglob("*") if path.is_file())
    assert endings[".safetensors"] == 1
    assert set(endings) == {"", ".json", ".py", ".safetensors", ".txt", ".yaml"}


def test_finishing_twice_registers_once_and_repeats_no_number(database, task, artifacts, weights):
    versions = {finished(database, task, artifacts, weights) for _ in range(2)}
    assert versions == {f"{task.name}/1"}
    assert written(database, task) == wanted(story.records(12), story.end())
    runs = runs_of(database, task)
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert runs[story.RUN].data.tags["fedcore.model_version"] == f"{task.name}/1"
    assert 0.5 < runs[story.RUN].data.metrics["test/auroc"] <= 1
    client = MlflowClient(database, database)
    assert len(client.search_logged_models([runs[story.RUN].info.experiment_id])) == 1
    listed = {file.path for file in client.list_artifacts(runs[story.RUN].info.run_id)}
    assert listed == {"task.yaml", "figures"}


@pytest.mark.parametrize(
    "step", ["save_model", "_new_version", "_set_aliases"], ids=["logging", "version", "aliases"]
)
def test_a_crash_at_any_step_of_registration_is_made_good(
    database, task, artifacts, weights, monkeypatch, step
):
    def killed(*_args, **_kwargs):
        raise OSError("killed here")

    with monkeypatch.context() as broken:
        broken.setattr(registry, step, killed)
        with pytest.raises(TrackingAway):
            finished(database, task, artifacts, weights)
    assert finished(database, task, artifacts, weights) == f"{task.name}/1"
    client = MlflowClient(database, database)
    assert len(client.search_model_versions(f"name = '{task.name}'")) == 1
    experiment = client.get_experiment_by_name(task.name).experiment_id
    assert len(client.search_logged_models([experiment])) == 1
    assert set(client.get_registered_model(task.name).aliases) == {"challenger", "champion"}


def test_a_champion_is_never_replaced_in_passing(database, tmp_path, task, artifacts, weights):
    first = finished(database, task, artifacts, weights, "run-1")
    second = finished(database, task, artifacts, weights, "run-2")
    assert [first, second] == [f"{task.name}/1", f"{task.name}/2"]
    finished(database, task, artifacts, weights, "run-1")
    aliases = MlflowClient(database, database).get_registered_model(task.name).aliases
    assert {name: int(version) for name, version in aliases.items()} == {
        "champion": 1,
        "challenger": 2,
    }
    for name, version in (("@champion", 1), ("@challenger", 2), ("/2", 2)):
        path = fetch_weights(f"models:/{task.name}{name}", database, tmp_path / "got")
        assert path == tmp_path / "got" / f"{task.name}-{version}.safetensors"
        assert path.read_bytes() == weights.read_bytes()


def test_a_failed_training_that_goes_on_finishes_and_a_finished_one_stays_so(
    database, task, artifacts, weights
):
    open_training(database, task).fail("too few replies in round 3")
    finished(database, task, artifacts, weights)
    for _ in range(2):
        runs = runs_of(database, task)
        assert {run.info.status for run in runs.values()} == {"FINISHED"}
        assert runs[story.RUN].data.tags["fedcore.reason"] == "all rounds done"
        open_training(database, task).fail("stopped by a person", killed=True)


@pytest.mark.parametrize(
    ("batch_norm", "network", "warns"),
    [("local", "cnn", True), ("average", "cnn", False), ("local", "no BatchNorm", False)],
)
def test_a_version_says_whether_it_needs_a_partys_own_statistics(
    database, tmp_path, artifacts, weights, batch_norm, network, warns
):
    federation = {"strategy": "fedavg", "epochs": 12, "batch_size": 32, "lr": 0.001}
    name = f"statistics-{batch_norm}-{warns}"
    task = story.task_file(name=name, federation=federation | {"batch_norm": batch_norm})
    if network != "cnn":
        weights = tmp_path / "plain.safetensors"
        save_file({"classifier.weight": np.zeros((2, 4), np.float32)}, weights)
    finished(database, task, artifacts, weights)
    version = MlflowClient(database, database).get_model_version(name, "1")
    parent = runs_of(database, task)[story.RUN]
    assert version.tags["fedcore.batch_norm"] == batch_norm
    assert parent.data.tags["fedcore.batch_norm"] == batch_norm
    assert ("needs a party's own: best.safetensors" in version.description) == warns
    assert version.description.startswith("Best of 12 rounds")


def test_the_description_is_the_one_that_the_predictor_reads(task):
    content = describe(task, story.CLASSES)
    assert Description.from_json(content) == described(task, story.CLASSES)


@pytest.mark.servers
def test_a_server_that_goes_away_and_comes_back_holds_everything_once(
    mlflow_server, tmp_path, task, artifacts, weights
):
    uri = mlflow_server.uri
    tracking = open_training(uri, task)
    tracking.sync(story.records(2))
    mlflow_server.stop()
    with pytest.raises(TrackingAway, match="could not be used"):
        tracking.sync(story.records(3))
    with pytest.raises(TrackingAway):
        fetch_weights(f"models:/{task.name}@champion", uri, tmp_path)
    mlflow_server.start()
    tracking.sync(story.records(4))
    made = tracking.finish(story.end(), story.records(12), artifacts, weights)
    again = Tracking.open(uri, task, story.agreement(task), story.hellos(task))
    assert again.finish(story.end(), story.records(12), artifacts, weights) == made
    assert written(uri, task) == wanted(story.records(12), story.end())
    fetched = fetch_weights(f"models:/{task.name}@champion", uri, tmp_path / "got")
    assert fetched.read_bytes() == weights.read_bytes()
    np.save(tmp_path / "images.npy", images())
    python(LOAD, uri, tmp_path / "images.npy", tmp_path, f"models:/{task.name}@challenger")
    direct = Predictor(described(task, story.CLASSES), weights).probabilities(images())
    np.testing.assert_allclose(np.load(tmp_path / "0.npy"), direct, rtol=0, atol=1e-6)
    with pytest.raises(MlflowException):
        MlflowClient(uri, uri).get_model_version(task.name, "2")


def test_a_cross_modal_model_is_registered_and_told_the_modality_when_asked(
    database, tmp_path, task, artifacts
):
    sizes = {"ct": {"input_size": (1, 16, 16)}, "xray": {"input_size": (3, 24, 20)}}
    model = {"name": "cnn", "num_classes": 2, "modalities": sizes}
    task = story.task_file(name=task.name, model=model)
    weights = tmp_path / "crossmodal.safetensors"
    save_file(to_params(build(task.model, 3)), weights)
    made = finished(database, task, artifacts, weights)
    mlflow.set_tracking_uri(database)
    loaded = mlflow.pyfunc.load_model(f"models:/{made}")
    direct = Predictor(described(task, story.CLASSES), weights)
    for name, shape in (("ct", (1, 16, 16)), ("xray", (3, 24, 20))):
        pixels = np.random.default_rng(1).random((2, *shape), dtype=np.float32)
        answer = loaded.predict(pixels, params={"modality": name})
        np.testing.assert_allclose(answer, direct.probabilities(pixels, name), rtol=0, atol=1e-6)
    with pytest.raises(ModelError, match="known are: ct, xray"):
        loaded.predict(np.zeros((1, 1, 16, 16), np.float32))


@pytest.mark.parametrize(
    ("strategy", "lacks"),
    [("fedbn", "BatchNorm weights and statistics"), ("fedper", "last layer's weights")],
)
def test_a_version_says_which_part_stayed_home(task, weights, strategy, lacks):
    federation = {"strategy": strategy, "epochs": 2, "batch_size": 8, "lr": 0.01}
    told = description(
        story.task_file(name=task.name, federation=federation), story.RUN, story.end(), weights
    )
    assert f"Its {lacks} are the initial ones (strategy: {strategy})" in told
