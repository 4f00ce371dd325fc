"""What a party's update weighs in the mean."""

from __future__ import annotations

from typing import Literal

from fedcore.config.robust import ROBUST

Weighting = Literal["patients", "images", "equal"]


def weighting_of(strategy: str, weighting: Weighting) -> Weighting:
    """By what updates are weighted: as the task file says, but one vote each where robust."""
    return "equal" if strategy in ROBUST else weighting


def weight_of(weighting: Weighting, patients: int, images: int) -> float:
    """The weight by training patients, by training images, or one for everybody.

    FedAvg (McMahan et al. 2017, "Communication-Efficient Learning of Deep Networks from
    Decentralized Data") weighs by samples; with several images of a patient the patient is the
    independent sample, so `patients` is the task file's default.
    """
    return {"patients": float(patients), "images": float(images), "equal": 1.0}[weighting]
