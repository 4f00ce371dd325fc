"""What training minimises, and how its progress is counted."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from fedcore.data.images import ImageSet
from fedcore.training.hardware import Hardware
from fedcore.training.plan import TrainPlan


class Objective(Protocol):
    """From a batch's outputs and labels to a loss to follow downhill, and to a count to show."""

    def loss(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The batch's mean loss, a scalar."""

    def right(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """How many of the batch are predicted right, an integer scalar."""


class Classes:
    """Cross-entropy of logits (B, C) against class numbers (B,), classes weighed on wish."""

    def __init__(self, weights: torch.Tensor | None, smoothing: float = 0.0) -> None:
        """`weights` (C,) weigh the classes; `None` weighs all the same.

        With `smoothing` s, a label says 1 - s + s / C of its class and s / C of each other
        (Szegedy et al. 2016).
        """
        self._weights, self._smoothing = weights, smoothing

    def loss(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """See `Objective`."""
        return cross_entropy(
            outputs.float(), labels, weight=self._weights, label_smoothing=self._smoothing
        )

    def right(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """See `Objective`."""
        return (outputs.argmax(dim=1) == labels).sum()


def objective_for(plan: TrainPlan, images: ImageSet, machine: Hardware) -> Objective:
    """The objective of the task on a party's training set."""
    return Classes(_class_weights(plan, images, machine), plan.label_smoothing)


def _class_weights(plan: TrainPlan, images: ImageSet, machine: Hardware) -> torch.Tensor | None:
    """Per class N / (C * its count at this party), so that every class weighs the same.

    A class without images weighs nothing. `None` when classes are not weighted.
    """
    if not plan.balanced:
        return None
    counts = np.bincount(images.labels, minlength=plan.num_classes)
    balanced = counts.sum() / (len(counts) * np.maximum(counts, 1)) * (counts > 0)
    return torch.tensor(balanced, dtype=torch.float32, device=machine.device)
