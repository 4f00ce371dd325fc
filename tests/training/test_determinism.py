"""The same task, data and seed: the same bits, whatever the process did before."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from fedcore.models.state import to_params
from fedcore.params import digest
from fedcore.training.evaluation import evaluate
from fedcore.training.hardware import Hardware
from fedcore.training.local import train_round

SCRIPT = """
import json, sys
import numpy as np
from fedcore.config.task import TaskFile
from fedcore.data.images import ArrayImages
from fedcore.models.catalogue import build
from fedcore.models.state import to_params
from fedcore.params import digest
from fedcore.training.hardware import Hardware
from fedcore.training.local import train_round

task = TaskFile.model_validate(json.loads(sys.argv[1]))
stored = np.load(sys.argv[2])
images = ArrayImages(stored["pixels"], stored["labels"], 24)
network = build(task.model, task.seed)
result = train_round(network, to_params(network), images, task, party_id="1", number=2,
                     hardware=Hardware())
print(digest(result.params))
"""


def train(task, images, network, hardware, start=None):
    begin = start or to_params(network)
    return train_round(network, begin, images, task, party_id="1", number=2, hardware=hardware)


@pytest.fixture
def fields():
    """A task in which everything that draws random numbers is on."""
    return {"augment": "flip", "local_epochs": 2, "batch_size": 7, "schedule": "cosine"}


def test_another_process_gets_the_same_bits(
    make_task, make_images, make_network, cpu, fields, tmp_path
):
    task, images = make_task(**fields), make_images()
    here = digest(train(task, images, make_network(task), cpu).params)
    np.savez(tmp_path / "images.npz", pixels=images.pixels, labels=images.labels)
    command = [sys.executable, "-c", SCRIPT, task.model_dump_json(), str(tmp_path / "images.npz")]
    there = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    assert there == here


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "hardware", [Hardware(), Hardware(bfloat16=True, channels_last=True)], ids=["plain", "bf16"]
)
def test_a_network_used_before_gets_the_bits_of_a_new_one(
    make_task, make_images, make_network, fields, name, channels, hardware
):
    task = make_task(name, (channels, 32, 32), **fields)
    images = make_images(9, channels, 32)
    network = make_network(task)
    start = to_params(network)
    first = train(task, images, network, hardware)
    evaluate(network, first.params, images, task, hardware=hardware)
    torch.manual_seed(99)
    torch.randn(64, 64) @ torch.randn(64, 64)
    again = train(task, images, network, hardware, start)
    fresh = train(task, images, make_network(task), hardware)
    assert digest(again.params) == digest(first.params) == digest(fresh.params)
    assert again.metrics == first.metrics


def test_what_the_caller_set_in_torch_changes_nothing(
    make_task, make_images, make_network, cpu, fields
):
    task, images = make_task(**fields), make_images()
    plain = digest(train(task, images, make_network(task), cpu).params)
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    try:
        torch.set_num_threads(2)
        torch.set_float32_matmul_precision("medium")
        with torch.no_grad():
            other = digest(train(task, images, make_network(task), cpu).params)
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
    assert other == plain


def test_seed_party_and_round_each_change_the_bits(make_task, make_images, make_network, cpu):
    images = make_images()

    def bits(seed=0, party="1", number=1):
        network = make_network(make_task())
        task = make_task(seed=seed, batch_size=5)
        result = train_round(
            network, to_params(network), images, task, party_id=party, number=number, hardware=cpu
        )
        return digest(result.params)

    assert len({bits(), bits(seed=1), bits(party="2"), bits(number=2)}) == 4


def test_the_callers_random_numbers_go_on_as_if_nothing_had_been_trained(
    make_task, make_images, make_network, cpu
):
    task = make_task()
    network = make_network(task)
    torch.manual_seed(4)
    wanted = torch.rand(3)
    torch.manual_seed(4)
    train(task, make_images(), network, cpu)
    assert torch.equal(torch.rand(3), wanted)
