"""Parts of a network by the names that the task file has for them: backbone, head, a layer."""

from __future__ import annotations

from torch import nn

from fedcore.errors import ModelError, nearest, problem

BACKBONE, HEAD = "backbone", "head"


def head_names(module: nn.Module) -> frozenset[str]:
    """The state of the classifier: the network's last linear or convolutional layer."""
    layers = [
        name for name, one in module.named_modules() if isinstance(one, nn.Linear | nn.Conv2d)
    ]
    return frozenset(_below(module, layers[-1]))


def names_in(module: nn.Module, layers: str, where: object, field: str) -> frozenset[str]:
    """The state of `layers`: `backbone`, `head`, or a layer's name with all that is below it.

    Raises `ModelError`, naming `where` and `field`, when the network has no such layer.
    """
    head = head_names(module)
    if layers == HEAD:
        return head
    if layers == BACKBONE:
        return frozenset(module.state_dict()) - head
    found = _below(module, layers)
    if not found:
        names = (name for name, _ in module.named_modules() if name)
        known = [BACKBONE, HEAD, *(name for name in names if _below(module, name))]
        remedy = (
            "the network has no such layer with weights: write backbone (all but the classifier), "
            f"head (the classifier) or a layer's name; {nearest(layers, known)}"
        )
        raise ModelError(problem(where, field, layers, remedy))
    return frozenset(found)


def _below(module: nn.Module, layer: str) -> list[str]:
    return [name for name in module.state_dict() if name == layer or name.startswith(f"{layer}.")]
