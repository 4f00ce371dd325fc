"""What holds on a GPU; collected where one is usable, by `conftest.py` beside it.

A round there comes close to the processor's, whatever acts on the gradients; it gives the same bits
again, also after a kill; and its steps do not wait for the processor.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

from fedcore.errors import TrainingFailed
from fedcore.models.state import load_params, to_params
from fedcore.params import digest, learned
from fedcore.training.checkpoint import Checkpoint
from fedcore.training.corrections import Toward
from fedcore.training.evaluation import evaluate, predict
from fedcore.training.gradient import mean_gradient
from fedcore.training.hardware import Hardware, named
from fedcore.training.local import train_round

GPU = Hardware("cuda", threads=2)
FAST = Hardware("cuda", bfloat16=True, channels_last=True, threads=2)
# A small step, so that two ways of rounding do not lead far from each other.
PLAIN = {"optimizer": "sgd", "momentum": 0.0, "lr": 0.01, "batch_size": 8}

KILLED = """
import json, os, signal, sys
from pathlib import Path
import numpy as np
from fedcore.config.task import TaskFile
from fedcore.data.images import ArrayImages
from fedcore.models.catalogue import build
from fedcore.models.state import to_params
from fedcore.params import digest
from fedcore.training.checkpoint import Checkpoint
from fedcore.training.hardware import Hardware
from fedcore.training.local import train_round

task = TaskFile.model_validate(json.loads(sys.argv[1]))
stored = np.load(sys.argv[2])
images = ArrayImages(stored["pixels"], stored["labels"], 80)
network, stop, seen = build(task.model, task.seed), int(sys.argv[4]), []

def watch(done, total, loss):
    seen.append(done)
    if done == stop:
        os.kill(os.getpid(), signal.SIGKILL)

checkpoint = Checkpoint(Path(sys.argv[3]), {}, every=0.0, clock=lambda: 0.0)
machine = Hardware("cuda", bfloat16=True, channels_last=True, threads=2)
result = train_round(network, to_params(network), images, task, party_id="1", number=1,
                     hardware=machine, on_step=watch, checkpoint=checkpoint)
print(seen, digest(result.params), result.metrics)
"""


class Stop(Exception):
    """A kill: nothing that was not on the disk survives it."""


@pytest.fixture
def train(make_images, make_network):
    """A round in a fresh network of the task."""

    def go(task, hardware, amount=24, network=None, **options):
        network = network or make_network(task)
        channels, side, _ = task.model.input_size
        images = make_images(amount, channels=channels, side=side)
        start = options.pop("start", None) or to_params(network)
        return train_round(
            network, start, images, task, party_id="1", number=1, hardware=hardware, **options
        )

    return go


def way(result, start):
    """How far a round went, as one vector."""
    parts = [(result.params[name] - one).ravel() for name, one in learned(start).items()]
    return np.concatenate(parts)


def apart(ours, theirs):
    """How far two ways are apart, as a part of the second."""
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


@pytest.mark.parametrize(("name", "side"), [("cnn", 16), ("resnet18", 64)])
@pytest.mark.parametrize(("hardware", "most"), [(GPU, 0.2), (FAST, 0.7)], ids=["f32", "bf16"])
def test_a_round_comes_close_to_the_processors(
    train, make_task, make_network, cpu, name, side, hardware, most
):
    task = make_task(name, (3, side, side), **{**PLAIN, "batch_size": 24})
    start = to_params(make_network(task))
    there, here = train(task, hardware), train(task, cpu)
    assert 0 < apart(way(there, start), way(here, start)) < most
    assert there.metrics["loss"] == pytest.approx(here.metrics["loss"], rel=0.02)
    assert there.params.keys() == here.params.keys()
    assert all(one.dtype == here.params[name].dtype for name, one in there.params.items())


@pytest.mark.parametrize(
    "fields",
    [
        {"strategy": "fedprox", "mu": 0.5},
        {"l1": 0.01, "l2": 0.01, "max_grad_norm": 0.5},
        {"weight_decay": 0.01, "penalised": "weights", "momentum": 0.9, "nesterov": True},
        {"class_weights": "balanced", "label_smoothing": 0.1},
        {"class_weights": [1.0, 3.0], "focal_gamma": 2.0},
        {"positive_weight": 3.0},
        {"freeze": [{"layers": "0"}], "backbone_lr": 0.5},
        {"strategy": "fedrep", "head_epochs": 1},
        {"augment": "flip", "local_epochs": 2},
        {"normalize": "none", "schedule": "cosine", "warmup_steps": 2},
    ],
    ids="-".join,
)
def test_what_acts_on_a_step_acts_there_as_well(train, make_task, make_network, cpu, fields):
    task = make_task(**{**PLAIN, **fields})
    start = to_params(make_network(task))
    assert apart(way(train(task, GPU), start), way(train(task, cpu), start)) < 0.03


@pytest.mark.parametrize("kind", ["offsets", "toward"])
def test_scaffolds_and_dittos_pull_act_there_as_well(train, make_task, make_network, cpu, kind):
    task, random = make_task(**PLAIN), np.random.default_rng(0)
    start = to_params(make_network(task))
    drawn = {
        name: random.normal(0, 0.1, one.shape).astype(np.float32)
        for name, one in learned(start).items()
    }
    given = {"offsets": drawn} if kind == "offsets" else {"toward": Toward({**start, **drawn}, 0.5)}
    plain = way(train(task, GPU), start)
    there, here = (way(train(task, one, **given), start) for one in (GPU, cpu))
    assert apart(there, here) < 0.03 < apart(there, plain)


def test_scores_and_gradients_are_the_processors_but_for_rounding(
    make_task, make_images, make_network, cpu
):
    task = make_task("resnet18", (3, 32, 32), **PLAIN)
    images, network = make_images(150, 3, 32), make_network(task)
    start = to_params(network)
    there = predict(network, start, images, task, hardware=FAST)
    assert there.probabilities.dtype == np.float32
    here = predict(network, start, images, task, hardware=cpu)
    np.testing.assert_allclose(there.probabilities, here.probabilities, atol=1e-4)
    np.testing.assert_allclose(there.losses, here.losses, atol=1e-4)
    scored = [evaluate(network, start, images, task, hardware=one) for one in (GPU, cpu)]
    assert scored[0].loss == pytest.approx(scored[1].loss, abs=1e-4)
    small = make_task(size=(3, 32, 32), **PLAIN)
    network = make_network(small)
    start = to_params(network)
    found = [mean_gradient(network, start, images, small, hardware=one) for one in (GPU, cpu)]
    assert found[0].keys() == found[1].keys()
    flat = [np.concatenate([one.ravel() for one in each.values()]) for each in found]
    assert apart(flat[0], flat[1]) < 0.03


@pytest.mark.parametrize("hardware", [GPU, FAST], ids=["f32", "bf16"])
@pytest.mark.parametrize(("name", "side"), [("cnn", 16), ("resnet18", 64)])
def test_the_same_seed_gives_the_same_bits(train, make_task, make_network, name, side, hardware):
    task = make_task(name, (3, side, side), augment="flip", local_epochs=2, batch_size=7)
    network = make_network(task)
    start = to_params(network)
    first = train(task, hardware, network=network, start=start)
    torch.backends.cudnn.allow_tf32 = False
    try:
        torch.randn(256, 256, device="cuda") @ torch.randn(256, 256, device="cuda")
        used, fresh = train(task, hardware, network=network, start=start), train(task, hardware)
    finally:
        torch.backends.cudnn.allow_tf32 = True
    assert digest(first.params) == digest(used.params) == digest(fresh.params)
    assert first.metrics == used.metrics == fresh.metrics


def test_no_step_of_these_networks_lacks_a_reproducible_way(train, make_task):
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        for name, side in (("cnn", 16), ("resnet18", 64)):
            train(make_task(name, (3, side, side)), FAST)
    assert [str(one.message) for one in heard if "determin" in str(one.message)] == []


@pytest.mark.parametrize("hardware", [GPU, FAST], ids=["f32", "bf16"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "adagrad"])
def test_a_round_broken_off_goes_on_to_the_same_bits(
    train, make_task, tmp_path, optimizer, hardware
):
    task = make_task(optimizer=optimizer, batch_size=4, augment="flip", optimizer_state="kept")
    whole = train(task, hardware, amount=80)
    seen: list[int] = []

    def watch(done, total, loss):
        if seen.append(done) or len(seen) == 1:
            raise Stop

    def kept():
        return Checkpoint(tmp_path, {}, every=0.0, clock=lambda: 0.0)

    with pytest.raises(Stop):
        train(task, hardware, amount=80, on_step=watch, checkpoint=kept())
    again = train(task, hardware, amount=80, on_step=watch, checkpoint=kept())
    assert seen == [10, 10, 20]
    assert digest(again.params) == digest(whole.params)
    assert again.metrics == whole.metrics
    assert digest(again.carried.optimizer) == digest(whole.carried.optimizer)


def test_a_killed_process_is_followed_by_one_that_ends_with_the_same_bits(
    make_task, make_images, tmp_path
):
    task, images = make_task("resnet18", (3, 32, 32), batch_size=4), make_images(80, 3, 32)
    np.savez(tmp_path / "images.npz", pixels=images.pixels, labels=images.labels)

    def process(folder, stop):
        given = [task.model_dump_json(), str(tmp_path / "images.npz"), str(folder), str(stop)]
        return subprocess.run(
            [sys.executable, "-c", KILLED, *given], check=False, capture_output=True, text=True
        )

    whole = process(tmp_path / "whole", 0)
    assert process(tmp_path / "killed", 10).returncode == -signal.SIGKILL
    assert list((tmp_path / "killed").glob("training-*"))
    again = process(tmp_path / "killed", 0)
    assert whole.stdout.startswith("[10, 20]"), whole.stderr
    assert again.stdout == whole.stdout


def test_another_kind_of_gpu_begins_the_round_anew(monkeypatch):
    ours = named(GPU)
    assert torch.cuda.get_device_name() in ours
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "another card")
    assert named(GPU) != ours


def test_memory_that_is_not_enough_is_one_sentence_and_the_next_round_trains(
    train, make_task, make_images, make_network
):
    task = make_task("resnet18", (3, 224, 224), batch_size=64)
    network = make_network(task)
    torch.cuda.set_per_process_memory_fraction(0.003)
    try:
        with pytest.raises(TrainingFailed) as told:
            train(task, FAST, amount=64, network=network)
        torch.cuda.set_per_process_memory_fraction(0.0005)
        with pytest.raises(TrainingFailed, match=r"^this machine's GPU: its memory is full: end"):
            predict(network, to_params(network), make_images(64, 3, 224), task, hardware=GPU)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert str(told.value).startswith("the task file: federation.batch_size is 64: too large for")
    assert train(make_task(), FAST).steps == 1


def test_between_rounds_no_more_is_kept_than_the_network(train, make_task, make_network):
    task = make_task("resnet18", (3, 224, 224), batch_size=32, local_epochs=2)
    network = make_network(task)
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    train(task, FAST, amount=64, network=network)
    assert torch.cuda.max_memory_reserved() > before + 500e6
    assert torch.cuda.memory_reserved() < before + 100e6


def test_steps_do_not_wait_for_the_processor(train, make_task):
    """Twenty more steps add two looks at the loss, and little else that waits."""
    task = make_task("resnet18", (3, 32, 32), batch_size=4, augment="flip")
    train(task, FAST, amount=8)

    def waits(amount):
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                train(task, FAST, amount=amount)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        return sum("synchroniz" in str(one.message) for one in heard)

    assert 0 < waits(160) - waits(80) < 5


def test_a_network_that_was_on_the_gpu_is_scored_by_the_processor_again(
    train, make_task, make_images, make_network, cpu
):
    task = make_task()
    network, images = make_network(task), make_images()
    result = train(task, FAST, network=network)
    moved = evaluate(network, result.params, images, task, hardware=cpu)
    fresh = evaluate(make_network(task), result.params, images, task, hardware=cpu)
    assert moved.to_json() == fresh.to_json()
    load_params(network, result.params)
    assert digest(to_params(network)) == digest(result.params)
