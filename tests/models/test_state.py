"""State goes out as arrays and comes back, whole or not at all."""

import numpy as np
import pytest
import torch

from fedcore.config.model import ModelSection
from fedcore.errors import Refused
from fedcore.models.catalogue import build
from fedcore.models.state import load_params, replaceable_names, to_params
from fedcore.params import add, digest, schema, subtract


@pytest.fixture
def network():
    return build(ModelSection(name="cnn", input_size=(1, 8, 8)), 0)


def test_params_of_another_network_are_refused_and_nothing_is_overwritten(network):
    before = digest(to_params(network))
    params = to_params(network)
    del params["11.bias"]
    with pytest.raises(Refused, match="schema"):
        load_params(network, params)
    with pytest.raises(Refused, match="dtype"):
        load_params(network, {k: v.astype(np.float64) for k, v in to_params(network).items()})
    assert digest(to_params(network)) == before


def test_what_was_loaded_comes_back_bit_for_bit(network):
    other = to_params(build(ModelSection(name="cnn", input_size=(1, 8, 8)), 1))
    load_params(network, other)
    assert digest(to_params(network)) == digest(other)


def test_params_are_copies_in_plain_order_whatever_the_layout(network):
    network.to(memory_format=torch.channels_last)
    params = to_params(network)
    before = digest(params)
    with torch.no_grad():
        for one in network.parameters():
            one.add_(1)
    assert digest(params) == before
    assert all(array.flags.c_contiguous for array in params.values())


def test_read_only_arrays_and_the_results_of_arithmetic_can_be_loaded(network):
    params = to_params(network)
    moved = add(params, subtract(params, params))
    for array in params.values():
        array.flags.writeable = False
    load_params(network, params)
    load_params(network, moved)
    assert digest(to_params(network)) == digest(params)


def test_batch_norm_counters_stay_whole_numbers(network):
    kinds = {name: dtype for name, (dtype, _) in schema(to_params(network)).items()}
    assert {kinds[name] for name in kinds if name.endswith("num_batches_tracked")} == {"int64"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", {"conv1.weight", "fc.weight", "fc.bias"}),
        (
            "squeezenet1_1",
            {
                f"{one}.{kind}"
                for one in ("features.0", "classifier.1")
                for kind in ("weight", "bias")
            },
        ),
    ],
)
def test_first_convolution_and_classifier_are_replaceable(name, expected):
    network = build(ModelSection(name=name, input_size=(3, 32, 32)), 0)
    assert replaceable_names(network) == expected
