"""Which parameters are shared by which parties, on real networks and under every setting."""

from __future__ import annotations

import pytest
from torch import nn

from fedcore.config.federation import STRATEGIES, FederationSection
from fedcore.config.model import ModelSection
from fedcore.errors import ModelError
from fedcore.models.catalogue import build
from fedcore.models.modalities import is_foreign
from fedcore.models.sharing import home_names, shared_names
from fedcore.models.state import replaceable_names

STATISTICS = {"running_mean", "running_var", "num_batches_tracked"}


def network(name="cnn", size=(3, 32, 32), **section):
    return build(ModelSection(name=name, input_size=size, **section), 0)


def home(module, **federation):
    return home_names(module, FederationSection(**federation))


@pytest.mark.parametrize("strategy", ["fedavg", "fedprox", "ditto"])
def test_these_strategies_share_the_whole_network(strategy):
    module = network()
    assert shared_names(module, FederationSection(strategy=strategy)) == tuple(module.state_dict())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_shared_and_what_stays_home_are_the_whole_network(strategy):
    module = network()
    federation = FederationSection(strategy=strategy, batch_norm="local")
    shared, kept = shared_names(module, federation), home_names(module, federation)
    assert set(shared) | kept == set(module.state_dict())
    assert not set(shared) & kept


def test_local_batch_norm_keeps_exactly_the_running_statistics_home():
    kept = home(network(), batch_norm="local")
    assert {name.rpartition(".")[2] for name in kept} == STATISTICS
    assert len(kept) == 9


def test_fedbn_keeps_all_of_every_batch_norm_home_and_nothing_else():
    module = network("resnet18")
    norms = [name for name, one in module.named_modules() if isinstance(one, nn.BatchNorm2d)]
    expected = {f"{norm}.{kind}" for norm in norms for kind in {"weight", "bias"} | STATISTICS}
    assert home(module, strategy="fedbn") == expected
    assert len(norms) == 20


@pytest.mark.parametrize("name", ["alexnet", "vit_b_32", "convnext_tiny"])
def test_fedbn_shares_all_of_a_network_without_batch_norm(name):
    # LayerNorm holds no statistics of the images; it travels.
    assert home(network(name, size=(3, 64, 64)), strategy="fedbn") == frozenset()


@pytest.mark.parametrize("strategy", ["fedper", "fedrep"])
@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("cnn", "11"),
        ("resnet18", "fc"),
        ("densenet121", "classifier"),
        ("squeezenet1_1", "classifier.1"),
        ("mobilenet_v3_small", "classifier.3"),
    ],
)
def test_the_head_is_the_last_layer_that_classifies(strategy, name, head):
    kept = home(network(name), strategy=strategy)
    assert kept == {f"{head}.weight", f"{head}.bias"}


MODALITIES = {"ct": {"input_size": (1, 24, 24)}, "xray": {"input_size": (3, 16, 20)}}


@pytest.mark.parametrize("name", ["cnn", "resnet18"])
def test_across_modalities_a_party_shares_its_own_encoder_trunk_and_head(name):
    module = network(name, modalities=MODALITIES)
    shared = {one: set(shared_names(module, FederationSection(), one)) for one in ("ct", "xray")}
    prefixes = {one: {name.partition(".")[0] for name in shared[one]} for one in shared}
    assert prefixes == {
        "ct": {"encoder_ct", "trunk", "head"},
        "xray": {"encoder_xray", "trunk", "head"},
    }
    assert shared["ct"] | shared["xray"] == set(module.state_dict())


def test_fedbn_and_modalities_are_settings_of_one_notion():
    module = network(modalities=MODALITIES)
    shared = shared_names(module, FederationSection(strategy="fedbn"), "ct")
    norms = {name for name, one in module.named_modules() if isinstance(one, nn.BatchNorm2d)}
    assert set(shared) == {
        name
        for name in module.state_dict()
        if name.rpartition(".")[0] not in norms and not name.startswith("encoder_xray.")
    }


def test_without_modalities_nothing_is_foreign():
    assert not is_foreign("encoder_ct.0.weight", None)
    assert is_foreign("encoder_ct.0.weight", "c")
    assert not is_foreign("trunk.0.weight", "ct")


def test_every_encoder_and_the_head_may_be_missing_in_pretrained_weights():
    module = network("resnet18", modalities=MODALITIES)
    assert replaceable_names(module) == {
        "encoder_ct.conv1.weight",
        "encoder_xray.conv1.weight",
        "head.weight",
        "head.bias",
    }


def test_a_network_without_a_stem_is_not_divided_between_modalities():
    with pytest.raises(ModelError, match=r"model\.name is 'vit_b_32': it cannot be divided"):
        network("vit_b_32", size=(3, 64, 64), modalities={"ct": {}, "xray": {}})


def test_a_size_that_does_not_fit_is_told_of_a_modality_too():
    with pytest.raises(ModelError, match=r"\[1, 8, 8\].*cannot take this size"):
        network("alexnet", modalities={"ct": {"input_size": (1, 8, 8)}})
