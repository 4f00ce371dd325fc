"""A small convolutional network: enough to learn simple images in seconds, for demo and tests."""

from __future__ import annotations

from torch import nn

WIDTHS = (16, 32, 64)


def cnn(channels: int, num_classes: int) -> nn.Sequential:
    """Three convolutions with BatchNorm, the last two halving the size; any size from 8 pixels."""
    layers: list[nn.Module] = []
    before = channels
    for number, width in enumerate(WIDTHS):
        stride = 1 if number == 0 else 2
        layers += [
            nn.Conv2d(before, width, kernel_size=3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        before = width
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes)
    )
