"""The small residual networks are torchvision's, to the bit, without torchvision's import."""

import subprocess
import sys

import pytest
import torch
import torchvision.models

from fedcore.config.model import ModelSection
from fedcore.models.catalogue import build
from fedcore.models.resnet import resnet

UNNEEDED = ("torchvision", "torch._dynamo", "sympy", "pydicom", "pyarrow")
START = f"""
import sys
from fedcore.config.model import ModelSection
from fedcore.models.catalogue import build
import fedcore.simulation
build(ModelSection(name="resnet18", input_size=(3, 32, 32), num_classes=2), 0)
print(*(name for name in {UNNEEDED} if name in sys.modules))
"""


@pytest.mark.parametrize("name", ["resnet18", "resnet34"])
def test_names_weights_and_answers_are_torchvisions(name: str) -> None:
    torch.manual_seed(3)
    ours, after = resnet(name, 5), torch.rand(1)
    torch.manual_seed(3)
    theirs = torchvision.models.get_model(name, weights=None, num_classes=5)
    assert torch.equal(after, torch.rand(1))
    assert [one for one, _ in ours.named_modules()] == [one for one, _ in theirs.named_modules()]
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for one, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[one], tensor), one
    images = torch.rand(2, 3, 40, 48)
    for network in (ours, theirs):
        network(images).sum().backward()
    assert torch.equal(ours.conv1.weight.grad, theirs.conv1.weight.grad)
    assert torch.equal(ours.eval()(images), theirs.eval()(images))


@pytest.mark.parametrize("side", [8, 31])
def test_they_take_images_of_every_size(side: int) -> None:
    network = build(ModelSection(name="resnet18", input_size=(1, side, side), num_classes=2), 0)
    assert network.eval()(torch.zeros(1, 1, side, side)).shape == (1, 2)


def test_a_simulation_of_one_loads_neither_torchvision_nor_the_compiler_nor_decoders() -> None:
    said = subprocess.run(
        [sys.executable, "-c", START], check=True, capture_output=True, text=True, timeout=120
    )
    assert said.stdout.split() == []
