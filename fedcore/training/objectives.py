"""What training minimises, and how its progress is counted."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from fedcore.data.images import ImageSet
from fedcore.models.inference import by_class
from fedcore.training.hardware import Hardware
from fedcore.training.plan import TrainPlan
from fedcore.training.survival import partial_likelihood

# Where a row is understood to the last bit, a power of nothing has no slope.
LEAST = 1e-12


class Objective(Protocol):
    """From a batch's outputs and labels to a loss to follow downhill, and to a count to show."""

    def loss(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The batch's mean loss, a scalar."""

    def right(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor | None:
        """How many of the batch are predicted right, an integer scalar; `None`: not counted."""


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


class OneLogit:
    """Binary cross-entropy of one logit (B, 1) against classes 0 and 1, weighed on wish."""

    def __init__(self, weights: torch.Tensor | None, smoothing: float = 0.0) -> None:
        """`weights` (2,) and `smoothing` as in `Classes`, the first class's logit being 0."""
        self._weighed = Classes(weights, smoothing)
        self._plain = weights is None and not smoothing

    def loss(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """See `Objective`."""
        if self._plain:
            return binary_cross_entropy_with_logits(outputs.float()[:, 0], labels.float())
        return self._weighed.loss(by_class(outputs.float()), labels)

    def right(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """See `Objective`: class 1 where its probability is above one half."""
        return ((outputs[:, 0] > 0).long() == labels).sum()


class EachRow:
    """Cross-entropy per row, weighed by its class and by how little it is understood, averaged.

    Of row i with label y, w_y * (1 - p_y)^gamma * -log p_y (Lin et al. 2017, "Focal Loss for Dense
    Object Detection"; without gamma the weighted loss of torch's `pos_weight`). The mean is over
    rows, not over their weights.
    """

    def __init__(self, weights: torch.Tensor | None, gamma: float) -> None:
        """`weights` (C,) weigh the classes; a `gamma` of 0 weighs all rows the same."""
        self._weights, self._gamma = weights, gamma

    def loss(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """See `Objective`; logits (B, C), or (B, 1) for two classes."""
        plain = cross_entropy(by_class(outputs.float()), labels, reduction="none")
        loss = plain
        if self._gamma:
            loss = loss * (-torch.expm1(-plain)).clamp(min=LEAST) ** self._gamma
        if self._weights is not None:
            loss = loss * self._weights[labels]
        return loss.mean()

    def right(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """See `Objective`."""
        return (by_class(outputs).argmax(dim=1) == labels).sum()


class Hazards:
    """Cox's negative log partial likelihood; a batch's patients are each other's risk sets."""

    def __init__(self, plan: TrainPlan) -> None:
        self._ties, self._mean = plan.ties, plan.cox_mean

    def loss(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """See `Objective`: per event, or per patient; 0 for a batch without events."""
        total = partial_likelihood(outputs.float()[:, 0], labels, self._ties)
        if self._mean == "patients":
            return total / len(labels)
        return total / labels[:, 1].sum().clamp(min=1).to(total.dtype)

    def right(self, outputs: torch.Tensor, labels: torch.Tensor) -> None:
        """See `Objective`: a risk is neither right nor wrong."""


def objective_for(plan: TrainPlan, images: ImageSet, machine: Hardware) -> Objective:
    """The objective of the task on a party's training set."""
    if plan.survival:
        return Hazards(plan)
    weights = _class_weights(plan, images, machine)
    if plan.positive_weight is not None or plan.focal_gamma is not None:
        return EachRow(weights, plan.focal_gamma or 0.0)
    kind = OneLogit if plan.one_logit else Classes
    return kind(weights, plan.label_smoothing)


def _class_weights(plan: TrainPlan, images: ImageSet, machine: Hardware) -> torch.Tensor | None:
    """The task file's numbers, or balanced ones; `None` when classes are not weighted.

    Balanced are per class N / (C * its count at this party), so that every class weighs the same;
    a class without images weighs nothing.
    """
    given = plan.class_weights
    if plan.positive_weight is not None:
        given = (1.0, plan.positive_weight)
    if given == "none":
        return None
    if given != "balanced":
        return torch.tensor(given, dtype=torch.float32, device=machine.device)
    counts = np.bincount(images.labels, minlength=plan.num_classes)
    balanced = counts.sum() / (len(counts) * np.maximum(counts, 1)) * (counts > 0)
    return torch.tensor(balanced, dtype=torch.float32, device=machine.device)
