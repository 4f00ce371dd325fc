"""The networks of tables: layer by layer as torch has them, and where their weights begin."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from fedcore.config.base import validate
from fedcore.config.federation import FederationSection
from fedcore.config.model import ModelSection
from fedcore.config.task import TaskFile
from fedcore.errors import TaskFileError
from fedcore.models.catalogue import build
from fedcore.models.sharing import home_names
from fedcore.models.state import load_params, to_params


def network(**fields) -> nn.Module:
    section = ModelSection(**{"name": "mlp", "hidden": (5, 3), **fields})
    return build(section, 4, inputs=6)


@pytest.mark.parametrize(
    ("activation", "theirs"),
    [("leaky_relu", nn.LeakyReLU), ("elu", nn.ELU), ("tanh", nn.Tanh), ("sigmoid", nn.Sigmoid)],
)
@pytest.mark.parametrize(
    ("norm", "normalise"), [("batch", nn.BatchNorm1d), ("layer", nn.LayerNorm)]
)
def test_an_mlp_is_linear_norm_activation_dropout_as_torch_has_them(
    norm, normalise, activation, theirs
):
    ours = network(norm=norm, activation=activation, dropout=0.5)
    plain = nn.Sequential(
        *(nn.Linear(6, 5), normalise(5), theirs(), nn.Dropout(0.5)),
        *(nn.Linear(5, 3), normalise(3), theirs(), nn.Dropout(0.5)),
        nn.Linear(3, 1),
    )
    load_params(plain, to_params(ours))
    rows = torch.randn(7, 6, generator=torch.Generator().manual_seed(0))
    for one in (ours.train(), plain.train()):
        torch.manual_seed(1)
        one.answer = one(rows)
    assert torch.equal(ours.answer, plain.answer)
    assert torch.equal(ours.eval()(rows), plain.eval()(rows))


def test_fedbn_keeps_an_mlps_batch_norms_home_and_shares_its_layer_norms():
    kept = home_names(network(norm="batch"), FederationSection(strategy="fedbn"))
    parts = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    assert kept == {f"{layer}.{part}" for layer in (1, 4) for part in parts}
    assert home_names(network(norm="layer"), FederationSection(strategy="fedbn")) == frozenset()


@pytest.mark.parametrize("name", ["xavier", "kaiming"])
@pytest.mark.parametrize("shape", ["uniform", "normal"])
def test_weights_begin_as_their_papers_have_it_and_biases_at_0(name, shape):
    section = ModelSection(name="mlp", hidden=(200,), init=f"{name}_{shape}", num_classes=4)
    first, _, last = build(section, 4, inputs=300)
    deviation = math.sqrt(2 / (300 + 200) if name == "xavier" else 2 / 300)
    assert first.weight.std().item() == pytest.approx(deviation, rel=0.02)
    if shape == "uniform":
        assert first.weight.abs().max().item() <= deviation * math.sqrt(3)
    assert not first.bias.any()
    assert not last.bias.any()


def test_zeros_are_for_the_output_layer_alone():
    ours, default = network(init="zeros"), network()
    assert torch.equal(ours[0].weight, default[0].weight)
    assert not ours[-1].weight.any()
    assert not ours[-1].bias.any()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"norm": "batch"}, "model.norm is 'batch': it adds layers to mlp and cox alone"),
        ({"init": "xavier_normal"}, "it is for the models of tables: write default"),
    ],
)
def test_what_is_for_tables_is_refused_for_images(fields, said):
    content = {"task_type": "classification", "model": fields, "federation": {}}
    with pytest.raises(TaskFileError, match=said):
        validate(TaskFile, content, "task.yaml", TaskFileError)
