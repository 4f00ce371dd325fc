"""The networks of clinical tables: logistic regression, multilayer perceptron, Cox's risk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn

from fedcore.config.model import Init, ModelSection

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
NORMS: dict[str, type[nn.Module]] = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
# Biases start at 0 with these, as Glorot and Bengio 2010 and He et al. 2015 have it.
INITS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "xavier_uniform": nn.init.xavier_uniform_,
    "xavier_normal": nn.init.xavier_normal_,
    "kaiming_uniform": partial(nn.init.kaiming_uniform_, nonlinearity="relu"),
    "kaiming_normal": partial(nn.init.kaiming_normal_, nonlinearity="relu"),
}


def tabular(section: ModelSection, inputs: int) -> nn.Sequential:
    """(B, inputs) float32 to (B, outputs): logits, or for `cox` one log relative hazard.

    Two classes have one logit, unless the task file asks for one a class. A Cox model has no
    constant term: the partial likelihood does not see it (Cox 1972).
    """
    layers: list[nn.Module] = []
    before = inputs
    for width in section.hidden:
        layers += _hidden(section, before, width)
        before = width
    layers.append(nn.Linear(before, outputs_of(section), bias=section.name != "cox"))
    for layer in layers[-1:] if section.init == "zeros" else layers:
        if isinstance(layer, nn.Linear):
            _begin(layer, section.init)
    return nn.Sequential(*layers)


def _hidden(section: ModelSection, before: int, width: int) -> Iterator[nn.Module]:
    yield nn.Linear(before, width)
    if section.norm != "none":
        yield NORMS[section.norm](width)
    yield ACTIVATIONS[section.activation]()
    if section.dropout:
        yield nn.Dropout(section.dropout)


def _begin(layer: nn.Linear, init: Init) -> None:
    """Overwrite torch's own random weights, unless these are wanted."""
    if init == "default":
        return
    if init == "zeros":
        nn.init.zeros_(layer.weight)
    else:
        INITS[init](layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def outputs_of(section: ModelSection) -> int:
    """How many numbers a table's network gives for one row."""
    one = section.name == "cox" or (section.num_classes == 2 and section.logits == "one")
    return 1 if one else section.num_classes
