"""A network for several modalities: an encoder for each, one trunk and one head for all.

The encoder is what comes before the first feature map has been shaped: cnn's first convolution,
a ResNet's stem. Trunk and head work on feature maps of any size, so modalities may differ in
channels and in size.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import nn

from fedcore.models.modalities import encoder_of

STEM = ("conv1", "bn1", "relu", "maxpool")
BODY = ("layer1", "layer2", "layer3", "layer4", "avgpool")


class CrossModal(nn.Module):
    """`encoder_NAME` of each modality, then `trunk`, then `head`; one encoder is in use."""

    def __init__(
        self, encoders: Mapping[str, nn.Module], trunk: nn.Module, head: nn.Module
    ) -> None:
        """Put the parts together; the first modality's encoder is in use."""
        super().__init__()
        for name, encoder in encoders.items():
            self.add_module(encoder_of(name), encoder)
        self.trunk, self.head = trunk, head
        self.modality = next(iter(encoders))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, C, H, W) of the modality in use to logits (B, classes)."""
        encoder = self.get_submodule(encoder_of(self.modality))
        logits: torch.Tensor = self.head(self.trunk(encoder(images)))
        return logits


def see_as(network: nn.Module, modality: str | None) -> nn.Module:
    """The same network with that modality's encoder in use; others have none to choose."""
    if isinstance(network, CrossModal) and modality is not None:
        network.modality = modality
    return network


def join(networks: Mapping[str, nn.Module]) -> CrossModal:
    """One network of several, a modality's each: their encoders, the first one's trunk and head.

    Raises `ValueError` for a network that has no such parts.
    """
    parts = {name: _split(network) for name, network in networks.items()}
    _, trunk, head = next(iter(parts.values()))
    return CrossModal({name: encoder for name, (encoder, _, _) in parts.items()}, trunk, head)


def _split(network: nn.Module) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Encoder, trunk and head."""
    children = dict(network.named_children())
    if isinstance(network, nn.Sequential):
        return network[:3], network[3:-1], network[-1]
    if children.keys() == {*STEM, *BODY, "fc"}:
        flat = _sequence(children, BODY)
        flat.add_module("flatten", nn.Flatten())
        return _sequence(children, STEM), flat, children["fc"]
    raise ValueError("it has no stem of its own")


def _sequence(children: Mapping[str, nn.Module], names: tuple[str, ...]) -> nn.Sequential:
    return nn.Sequential(OrderedDict((name, children[name]) for name in names))
