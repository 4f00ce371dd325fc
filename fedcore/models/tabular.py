"""The networks of clinical tables: logistic regression, multilayer perceptron, Cox's risk."""

from __future__ import annotations

from torch import nn

from fedcore.config.model import ModelSection

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def tabular(section: ModelSection, inputs: int) -> nn.Sequential:
    """(B, inputs) float32 to (B, outputs): logits, or for `cox` one log relative hazard.

    Two classes have one logit, unless the task file asks for one a class. A Cox model has no
    constant term: the partial likelihood does not see it (Cox 1972).
    """
    layers: list[nn.Module] = []
    before = inputs
    for width in section.hidden:
        layers += [nn.Linear(before, width), ACTIVATIONS[section.activation]()]
        if section.dropout:
            layers.append(nn.Dropout(section.dropout))
        before = width
    last = nn.Linear(before, outputs_of(section), bias=section.name != "cox")
    if section.init == "zeros":
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
    return nn.Sequential(*layers, last)


def outputs_of(section: ModelSection) -> int:
    """How many numbers a table's network gives for one row."""
    one = section.name == "cox" or (section.num_classes == 2 and section.logits == "one")
    return 1 if one else section.num_classes
