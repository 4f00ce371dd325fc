"""From pixels to logits, in one way for training, evaluation and the served model.

Sharing these few operations is what makes the served model's probabilities bit-equal to those that
its evaluation counted.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from fedcore.models.pixels import Normalisation

# Evaluation has its own batch, so that scores do not hang on the task's batch_size.
BATCH = 64


class Normalise:
    """(pixel - mean) / std on whole batches that live on one device."""

    def __init__(self, constants: Normalisation, device: str = "cpu") -> None:
        self.device = torch.device(device)
        # Divisors are tensors: by a plain number, a GPU multiplies with the rounded reciprocal.
        self._white = torch.tensor(255.0, device=self.device)
        self._mean = torch.tensor(constants.mean, device=self.device).view(1, -1, 1, 1)
        self._std = torch.tensor(constants.std, device=self.device).view(1, -1, 1, 1)

    def bytes(self, pixels: torch.Tensor, layout: torch.memory_format) -> torch.Tensor:
        """(B, C, H, W) uint8 to normalised float32 on the device, in the given memory layout."""
        return self.fractions(self._place(pixels, layout).div_(self._white))

    def floats(self, pixels: torch.Tensor, layout: torch.memory_format) -> torch.Tensor:
        """(B, C, H, W) floats in 0..1 to normalised float32; the argument stays as it is."""
        return self.fractions(self._place(pixels, layout))

    def fractions(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalise floats in 0..1 in place."""
        return pixels.sub_(self._mean).div_(self._std)

    def _place(self, pixels: torch.Tensor, layout: torch.memory_format) -> torch.Tensor:
        """A float32 copy, dtype and layout changed in one pass."""
        target = torch.empty(pixels.shape, device=self.device, memory_format=layout)
        return target.copy_(pixels.to(self.device, non_blocking=True))


def lay_out(network: nn.Module, device: str, layout: torch.memory_format) -> None:
    """Move the network to the device, its 4-d weights into the memory layout, in place.

    Strides are always written out in full: `Module.to` keeps those of a kernel with one channel,
    which fit both layouts, and a reused network would then compute other bits than a new one.
    """
    network.to(device)
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.dim() == 4 and tensor.stride() != _strides(tensor, layout):
                tensor.data = torch.empty_like(tensor, memory_format=layout).copy_(tensor)


def _strides(tensor: torch.Tensor, layout: torch.memory_format) -> tuple[int, ...]:
    return torch.empty_like(tensor, device="meta", memory_format=layout).stride()


def sent(tensor: torch.Tensor, device: str) -> torch.Tensor:
    """The tensor on the device; a GPU fetches it by itself, and nobody waits for that.

    Whoever uses it on another stream than the present one must wait for this one.
    """
    if device == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


def slices(total: int, size: int = BATCH) -> Iterator[tuple[int, int]]:
    """Start and end of consecutive batches."""
    for start in range(0, total, size):
        yield start, min(start + size, total)


def by_class(logits: torch.Tensor) -> torch.Tensor:
    """(B, C) logits; of one logit alone (B, 2), the first class at 0: the same probabilities."""
    if logits.shape[1] > 1:
        return logits
    return torch.cat([torch.zeros_like(logits), logits], dim=1)


def probabilities_of(logits: torch.Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(B, C) logits, or (B, 1) for two classes, to float32 probabilities (B, C) as numpy."""
    return torch.softmax(by_class(logits.float()), dim=1).cpu().numpy()
