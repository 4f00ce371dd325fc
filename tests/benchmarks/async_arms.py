"""Four hospitals of which one trains five times slower: AUROC over virtual time, sync and async."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from small_xrays import auroc, cohort, draw, task_file

from fedcore.data.images import ArrayImages
from fedcore.exchange import codec
from fedcore.models.catalogue import build
from fedcore.rounds import sealed
from fedcore.simulation import World, simulate_cohorts
from fedcore.training.evaluation import predict

SLOW, SLOWER = "4", 5
PARTIES = ("1", "2", "3", SLOW)
# Passes of a fast hospital over its images, which is the unit of time here, in all.
UNITS = 30
TEST = {"none": 240, "bacteria": 120, "virus": 120}
HELD = {"none": 20, "bacteria": 10, "virus": 10}
ALIKE = {party: {"none": 40, "bacteria": 20, "virus": 20} for party in PARTIES}
# The slow one alone knows viral pneumonia, and half of the test's ill have it.
APART = {
    **{party: {"none": 40, "bacteria": 40, "virus": 0} for party in PARTIES},
    SLOW: {"none": 40, "bacteria": 0, "virus": 40},
}
SETTINGS = {"all hospitals alike": ALIKE, "viral pneumonia at the slow hospital alone": APART}


@dataclass(frozen=True)
class Arm:
    """A strategy with its settings; `rate` is about how many rounds it makes in a unit of time."""

    name: str
    rate: float
    said: Mapping[str, object]


ARMS = (
    Arm("fedavg", 1 / SLOWER, {"strategy": "fedavg"}),
    Arm("fedbuff, buffer_size 2", 1.6, {"strategy": "fedbuff", "buffer_size": 2}),
    Arm("fedasync", 3.2, {"strategy": "fedasync"}),
)
Curve = list[tuple[float, float]]


def hospitals(shared: Path, setting: str, size: int, seed: int) -> dict[str, ArrayImages]:
    """The four, each one's held-out images, and the test images."""
    held = {f"held-{party}": HELD for party in PARTIES}
    return draw(shared, {**SETTINGS[setting], **held, "test": TEST}, size, seed)


def curve(images: Mapping[str, ArrayImages], arm: Arm, seed: int) -> Curve:
    """Virtual time in passes of a fast hospital, and the AUROC then on the test images."""
    size = images["test"].pixels.shape[-1]
    task = task_file(size, seed, epochs=round(UNITS * arm.rate), **arm.said)
    cohorts = {party: cohort(images[party], images[f"held-{party}"]) for party in PARTIES}
    unit = len(images["1"])
    speeds = {party: (SLOWER if party == SLOW else 1) / unit for party in PARTIES}
    found: Curve = []
    clock, network = 0.0, build(task.model, seed)
    with tempfile.TemporaryDirectory(prefix="async-") as folder:
        world = World(Path(folder), speeds=speeds)
        outcome = simulate_cohorts(task, cohorts, world)
        for record in outcome.records:
            clock += record.seconds
            params = codec.decode(sealed.fetch(world.store, record.model))
            said = predict(network, params, images["test"], task)
            found.append((clock, auroc(said.probabilities[:, 1], images["test"].labels)))
    return found


def smooth(found: Curve) -> Curve:
    """At each round's end the mean over the rounds that ended since a slow hospital's pass ago.

    So a strategy of many rounds gains nothing from the luckiest of them.
    """
    return [
        (end, float(np.mean([value for moment, value in found if end - SLOWER < moment <= end])))
        for end, _ in found
    ]


def time_to(found: Curve, goal: float) -> float | None:
    """When the smoothed curve first reached the goal; `None` if it never did."""
    return next((end for end, value in smooth(found) if value >= goal), None)
