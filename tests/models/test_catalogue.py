"""Names become networks that fit the task file, or one sentence that says what would."""

import pytest
import torch
from torch import nn

from fedcore.config.model import ModelSection
from fedcore.errors import ModelError
from fedcore.models.catalogue import build, first_convolution, model_names
from fedcore.models.state import to_params
from fedcore.params import digest

FAMILIES = (
    "alexnet",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v3_small",
    "regnet_x_400mf",
    "resnet18",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "swin_t",
)


def section(name, size=(3, 32, 32), classes=2):
    return ModelSection(name=name, input_size=size, num_classes=classes)


def test_an_unknown_name_is_refused_with_the_nearest_known_one():
    with pytest.raises(ModelError, match=r"my\.yaml: model\.name is 'resnet81'.*'resnet18'"):
        build(section("resnet81"), 0, where="my.yaml")


@pytest.mark.parametrize(
    ("name", "size", "works"),
    [
        ("densenet121", (3, 28, 28), "[3, 32, 32]"),
        ("inception_v3", (1, 64, 64), "[1, 80, 80]"),
        ("vit_b_32", (3, 33, 33), "[3, 64, 64]"),
        ("vit_b_32", (3, 64, 32), "[3, 64, 64]"),
        ("maxvit_t", (3, 64, 64), "[3, 224, 224]"),
    ],
)
def test_a_size_that_the_network_cannot_take_is_refused_with_one_that_works(name, size, works):
    with pytest.raises(ModelError) as refusal:
        build(section(name, size), 0)
    assert "model.input_size" in str(refusal.value)
    assert f"{works} works" in str(refusal.value)


def test_the_size_that_is_advised_does_work():
    build(section("inception_v3", (1, 80, 80)), 0)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_of_the_catalogue_takes_the_channels_and_gives_the_classes(name, channels):
    network = build(section(name, (channels, 224, 224), classes=5), 0)
    assert first_convolution(network)[1].in_channels == channels
    state = {key: tensor.to("meta") for key, tensor in network.state_dict().items()}
    images = torch.empty(2, channels, 224, 224, device="meta")
    logits = torch.func.functional_call(network.eval(), state, (images,))
    assert logits.shape == (2, 5)


def test_inception_trains_without_auxiliary_heads():
    network = build(section("inception_v3", (3, 80, 80)), 0).train()
    assert isinstance(network(torch.rand(2, 3, 80, 80)), torch.Tensor)


def test_the_small_network_is_known_and_takes_the_smallest_images():
    assert "cnn" in model_names()
    logits = build(section("cnn", (1, 8, 8)), 0)(torch.rand(2, 1, 8, 8))
    assert logits.shape == (2, 2)


def test_a_grey_image_gives_what_three_equal_channels_give():
    colour = build(section("resnet18"), 3).eval()
    grey = build(section("resnet18", (1, 32, 32)), 3).eval()
    image = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(grey(image), colour(image.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize("name", ["cnn", "resnet18", "mobilenet_v3_small"])
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(name):
    first, again, other = (digest(to_params(build(section(name), seed))) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_building_leaves_the_callers_random_state_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    build(section("cnn"), 5)
    assert torch.equal(before, torch.get_rng_state())


def test_a_built_network_is_in_training_mode_on_the_cpu():
    network = build(section("resnet18"), 0)
    assert all(one.training for one in network.modules())
    assert all(one.device.type == "cpu" for one in network.parameters())
    assert isinstance(network, nn.Module)
