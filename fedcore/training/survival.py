"""Cox's partial likelihood of one set of patients, with events at the same time shared fairly."""

from __future__ import annotations

from typing import Literal

import torch

Ties = Literal["efron", "breslow"]


def partial_likelihood(risk: torch.Tensor, labels: torch.Tensor, ties: Ties) -> torch.Tensor:
    """The negative log partial likelihood, summed over events: a scalar, 0 without events.

    `risk` is (B,), the log relative hazard; `labels` (B, 2), time and event. The B patients are
    each other's risk sets (Cox 1972); equal times of events by Efron 1977 or Breslow 1974.
    """
    order = torch.argsort(labels[:, 0], descending=True, stable=True)
    times, events, sorted_risk = labels[order, 0], labels[order, 1].to(risk.dtype), risk[order]
    _, group, sizes = torch.unique_consecutive(times, return_inverse=True, return_counts=True)
    last = sizes.cumsum(0) - 1
    # log of the hazards of all who were still there, per time and then per patient
    at_risk = torch.logcumsumexp(sorted_risk, dim=0)[last][group]
    loss = events * (at_risk - sorted_risk)
    if ties == "efron":
        loss = loss + events * torch.log1p(-_used_up(sorted_risk - at_risk, events, group, last))
    return loss.sum()


def _used_up(
    relative: torch.Tensor, events: torch.Tensor, group: torch.Tensor, last: torch.Tensor
) -> torch.Tensor:
    """Per event the share of its risk set that tied events before it have used up, below 1."""
    counted = events.cumsum(0)
    before_group = torch.cat([counted.new_zeros(1), counted[last][:-1]])[group]
    deaths = (counted[last] - torch.cat([counted.new_zeros(1), counted[last][:-1]]))[group]
    rank = (counted - events - before_group) * events
    hazards = torch.exp(relative) * events
    total = hazards.new_zeros(len(last)).index_add(0, group, hazards)[group]
    return rank / deaths.clamp(min=1) * total
