"""Foreign weights: taken where they fit, refused in one sentence where they do not."""

import pickle

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors.numpy import save
from torch import nn

from fedcore.config.model import ModelSection
from fedcore.errors import ModelError
from fedcore.models.catalogue import build
from fedcore.models.state import load_params, replaceable_names, to_params
from fedcore.models.weights import read_weights
from fedcore.params import digest, schema


def network(name="cnn", size=(3, 32, 32), classes=2, seed=0):
    return build(ModelSection(name=name, input_size=size, num_classes=classes), seed)


def expected(module):
    return schema(to_params(module))


def test_weights_of_another_architecture_are_refused_in_one_sentence():
    body = save(to_params(network("mobilenet_v3_small")))
    with pytest.raises(ModelError) as refusal:
        read_weights(body, expected(network("resnet18")), where="exchange:pretrained")
    text = str(refusal.value)
    assert "model.weights is 'exchange:pretrained'" in text
    assert "346 of 366 names differ, the first is bn1.bias, which is missing" in text
    assert "\n" not in text


def test_another_shape_is_named_with_both_shapes():
    body = save(to_params(network(classes=3)))
    with pytest.raises(ModelError, match=r"11\.bias, which has shape \(3,\) instead of \(2,\)"):
        read_weights(body, expected(network()))


def test_a_different_body_is_refused_even_where_head_and_stem_may_differ():
    wide = network("resnet18")
    params = to_params(wide)
    params["layer1.0.conv1.weight"] = params["layer1.0.conv1.weight"][:, :32]
    with pytest.raises(ModelError, match=r"1 of 122 names differ, the first is layer1\.0\.conv1"):
        read_weights(save(params), expected(wide), replaceable=replaceable_names(wide))


class Grin:
    """Unpickling this would call a function."""

    def __reduce__(self):
        return (exec, ("raise SystemExit(3)",))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no weights at all",
        b"\x10\x00\x00\x00\x00\x00\x00\x00{broken header}",
        b"PK\x03\x04 not really a zip",
        pickle.dumps(Grin(), protocol=2),
        pickle.dumps({"a": 1}, protocol=2),
    ],
)
def test_what_holds_no_weights_is_refused_and_never_executed(body):
    with pytest.raises(ModelError, match=r"save the state_dict as \.safetensors"):
        read_weights(body, expected(network()))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"model\.weights is .*gone\.pth.*No such file"):
        read_weights(tmp_path / "gone.pth", expected(network()))


def test_weights_with_nan_are_refused():
    params = to_params(network())
    params["11.bias"][0] = np.nan
    with pytest.raises(ModelError, match=r"11\.bias holds NaN"):
        read_weights(save(params), expected(network()))


def test_a_safetensors_file_gives_back_its_bits(tmp_path):
    source = network(seed=4)
    (tmp_path / "w.safetensors").write_bytes(save(to_params(source)))
    loaded = read_weights(tmp_path / "w.safetensors", expected(network()))
    assert digest(loaded.params) == digest(to_params(source))
    assert loaded.left_out == ()


@pytest.mark.parametrize("key", [None, "state_dict", "model"])
def test_a_torch_file_is_read_bare_or_inside_a_checkpoint(tmp_path, key):
    source = network(seed=4)
    state = nn.DataParallel(source).state_dict()
    torch.save({key: state, "epoch": 3} if key else state, tmp_path / "w.pth")
    loaded = read_weights(tmp_path / "w.pth", expected(network()))
    assert digest(loaded.params) == digest(to_params(source))


def test_another_head_and_other_channels_stay_fresh_and_are_named():
    source = network("resnet18", classes=10, seed=4)
    fresh = network("resnet18", size=(1, 32, 32))
    loaded = read_weights(
        save(to_params(source)), expected(fresh), replaceable=replaceable_names(fresh)
    )
    assert loaded.left_out == ("conv1.weight", "fc.bias", "fc.weight")
    load_params(fresh, {**to_params(fresh), **loaded.params})
    name = "layer4.1.conv2.weight"
    np.testing.assert_array_equal(to_params(fresh)[name], to_params(source)[name])


def test_auxiliary_heads_and_old_spellings_of_published_files_are_understood():
    dense = network("densenet121")
    old = {
        name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): array
        for name, array in to_params(dense).items()
        if not name.endswith("num_batches_tracked")
    }
    loaded = read_weights(save(old), expected(dense))
    assert all(name.endswith("num_batches_tracked") for name in loaded.left_out)
    aux = {**to_params(network()), "aux1.conv.weight": np.zeros(3, np.float32)}
    assert read_weights(save(aux), expected(network())).left_out == ()


def test_half_precision_is_cast_to_the_networks_own():
    halves = {
        name: tensor.bfloat16() if tensor.is_floating_point() else tensor
        for name, tensor in network().state_dict().items()
    }
    loaded = read_weights(safetensors.torch.save(halves), expected(network()))
    assert schema(loaded.params) == expected(network())
