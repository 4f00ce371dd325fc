"""Hostile hospitals on real radiographs: rounds with the rules themselves, without an exchange."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from small_xrays import auroc, draw, flipped, task_file

from fedcore.config.robust import ROBUST
from fedcore.data.images import ArrayImages
from fedcore.models.catalogue import build
from fedcore.models.state import to_params
from fedcore.params import Params, is_float, scale, subtract
from fedcore.strategies import Contribution, rule_for
from fedcore.training.evaluation import predict
from fedcore.training.local import train_round

STRATEGIES = (
    "fedavg",
    "norm_clipping",
    "median",
    "trimmed_mean",
    "geometric_median",
    "krum",
    "multi_krum",
)
PARTIES, HOSTILE = 7, 2
TRAIN = {"none": 40, "bacteria": 20, "virus": 20}
TEST = {"none": 240, "bacteria": 120, "virus": 120}
# The running statistics are sent as they are: a negative variance would be refused at once.
HONEST_ENDS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class Attack:
    """What the hostile hospitals do: train on flipped labels, multiply their update."""

    name: str
    hostile: int
    flips: bool
    factor: float


ATTACKS = (
    Attack("nobody hostile", 0, flips=False, factor=1),
    Attack("flipped labels", HOSTILE, flips=True, factor=1),
    Attack("flipped labels, update x 10", HOSTILE, flips=True, factor=10),
    Attack("update x -10", HOSTILE, flips=False, factor=-10),
)


def hospitals(shared: Path, size: int, seed: int) -> dict[str, ArrayImages]:
    """Seven like hospitals, and the test images."""
    mixes = {str(party): TRAIN for party in range(1, PARTIES + 1)}
    return draw(shared, {**mixes, "test": TEST}, size, seed)


def final_auroc(
    images: Mapping[str, ArrayImages], strategy: str, attack: Attack, rounds: int, seed: int
) -> float:
    """The AUROC after the last round on the test images."""
    size = images["test"].pixels.shape[-1]
    promise = {"hostile": HOSTILE} if strategy in ROBUST else {}
    task = task_file(size, seed, strategy=strategy, epochs=rounds, **promise)
    network = build(task.model, seed)
    model = to_params(network)
    # Krum takes the first of equals and a mean knows no order: it does not matter who is hostile.
    hostile = {str(party) for party in range(1, attack.hostile + 1)}
    for number in range(1, rounds + 1):
        rule = rule_for(task.federation)
        for party in sorted(images.keys() - {"test"}):
            bad = party in hostile
            own = flipped(images[party]) if bad and attack.flips else images[party]
            trained = train_round(network, model, own, task, party_id=party, number=number)
            update = subtract(trained.params, model)
            update = _scaled(update, attack.factor) if bad else update
            rule.add(Contribution(party, float(len(own)), update))
        model = rule.finish(model, {}).model
    if not all(np.isfinite(array).all() for array in model.values() if is_float(array)):
        return float("nan")
    said = predict(network, model, images["test"], task)
    return auroc(said.probabilities[:, 1], images["test"].labels)


def _scaled(update: Params, factor: float) -> Params:
    learned = {name: one for name, one in update.items() if not name.endswith(HONEST_ENDS)}
    return {**update, **scale(learned, factor)}
