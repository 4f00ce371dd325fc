"""The two small residual networks, as torchvision has them: same names, same weights to the bit.

torchvision's own come with all of its catalogue, whose import takes longer than the whole first
round of a small federation, because it loads torch's compiler. The tests hold both against each
other.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

# Blocks in each of the four stages.
DEPTHS: Mapping[str, tuple[int, ...]] = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
WIDTHS = (64, 128, 256, 512)


class Block(nn.Module):
    """Two convolutions beside a shortcut (He et al. 2016); `stride` divides the image's sides."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        """From `before` channels to `width`."""
        super().__init__()
        self.conv1 = _convolution(before, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _convolution(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample: nn.Module | None = None
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of (images, before, height, width)."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        answer: torch.Tensor = self.relu(out)
        return answer


class ResNet(nn.Module):
    """Stem, four stages of blocks, and a linear head."""

    def __init__(self, depths: tuple[int, ...], num_classes: int) -> None:
        """Weights are drawn from torch's generator in the order in which torchvision draws them."""
        super().__init__()
        self.conv1 = _convolution(3, 64, 7, 2)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        befores = (64, *WIDTHS)
        for place, (before, width, depth) in enumerate(zip(befores, WIDTHS, depths, strict=False)):
            stage = _stage(before, width, depth, 1 if place == 0 else 2)
            self.add_module(f"layer{place + 1}", stage)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(WIDTHS[-1], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (images, classes) of images (images, 3, height, width)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for name in ("layer1", "layer2", "layer3", "layer4"):
            x = self.get_submodule(name)(x)
        logits: torch.Tensor = self.fc(torch.flatten(self.avgpool(x), 1))
        return logits


def resnet(name: str, num_classes: int) -> ResNet:
    """`resnet18` or `resnet34` with fresh weights; `KeyError` for another."""
    return ResNet(DEPTHS[name], num_classes)


def _stage(before: int, width: int, depth: int, stride: int) -> nn.Sequential:
    """Blocks of one width, of which the first halves the image where `stride` is 2."""
    shortcut = None
    if stride != 1 or before != width:
        # Made before its block: in this order torchvision draws the weights.
        shortcut = nn.Sequential(_convolution(before, width, 1, stride), nn.BatchNorm2d(width))
    first = Block(before, width, stride)
    first.downsample = shortcut
    rest = [Block(width, width, 1) for _ in range(1, depth)]
    return nn.Sequential(first, *rest)


def _convolution(before: int, after: int, side: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, side, stride, padding=side // 2, bias=False)
