"""Generated chest radiographs: anatomy that varies from patient to patient, and pneumonia in it.

Everything is drawn in coordinates from -1 to 1 (x to the viewer's right, y down) as an image of
attenuation, bright where much is absorbed. The patient's left is on the viewer's right. Nothing
here is a model of physics; it is a task of known truth with the confounders of the real one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Plane = npt.NDArray[np.floating[Any]]
_RIBS = 9


@dataclass(frozen=True)
class Anatomy:
    """One patient: lengths as shares of half the image's side."""

    lung_width: float
    lung_height: float
    lung_gap: float
    asymmetry: float
    heart_width: float
    heart_place: float
    dome: float
    rib_start: float
    rib_step: float
    rib_contrast: float
    fat: float
    breast: float
    clavicle: float
    vessels: float
    tilt: float


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """A patient out of the crowd."""
    return Anatomy(
        lung_width=rng.uniform(0.28, 0.36),
        lung_height=rng.uniform(0.58, 0.74),
        lung_gap=rng.uniform(0.36, 0.43),
        asymmetry=rng.uniform(-0.05, 0.05),
        heart_width=rng.uniform(0.22, 0.36),
        heart_place=rng.uniform(0.05, 0.15),
        dome=rng.uniform(0.42, 0.62),
        rib_start=rng.uniform(-0.78, -0.66),
        rib_step=rng.uniform(0.135, 0.165),
        rib_contrast=rng.uniform(0.05, 0.11),
        fat=rng.uniform(0.0, 0.08),
        breast=rng.choice([0.0, rng.uniform(0.03, 0.12)]),
        clavicle=rng.uniform(-0.72, -0.6),
        vessels=rng.uniform(0.04, 0.1),
        tilt=rng.uniform(-0.05, 0.05),
    )


def draw_chest(anatomy: Anatomy, sick: bool, size: int, rng: np.random.Generator) -> Plane:
    """One exposure of a patient as (size, size) attenuation, about 0 to 1; `rng` poses and adds.

    Both classes get what looks a little like the other: vessels, breast shadows and calcified
    nodules in the healthy, faint and small opacities in the sick.
    """
    x, y = _posed_grid(anatomy, size, rng)
    lungs = _lungs(anatomy, x, y)
    image = 0.62 + anatomy.fat * _smooth_noise(size, 3, rng) - 0.42 * lungs
    image += _bones(anatomy, x, y) + _middle(anatomy, x, y)
    image += anatomy.vessels * lungs * _vessels(x, y, size, rng)
    image += anatomy.breast * sum(_blob(x - side * 0.42, y - 0.25, 0.3, 0.22) for side in (-1, 1))
    image += 0.3 * _nodules(x, y, rng)
    if sick:
        image += lungs * _opacities(anatomy, x, y, size, rng)
    body = _inside(np.hypot(x / 0.98, (y - 0.4) / 1.5) - 1.0, 0.02)
    return np.asarray(image * (0.25 + 0.75 * body), np.float32)


def _posed_grid(anatomy: Anatomy, size: int, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Coordinates of all pixels, shifted, turned and scaled as the patient happened to stand."""
    line = np.linspace(-1, 1, size, dtype=np.float32)
    x, y = np.meshgrid(line, line)
    angle = anatomy.tilt + rng.normal(0, 0.02)
    x, y = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    zoom, right, down = rng.normal(1.0, 0.04), rng.normal(0, 0.04), rng.normal(0, 0.04)
    return np.float32(zoom) * (x - right), np.float32(zoom) * (y - down)


def _lungs(anatomy: Anatomy, x: Plane, y: Plane) -> Plane:
    """1 inside the two lungs, 0 outside, with soft borders."""
    both = np.zeros_like(x)
    for side in (-1, 1):
        width = anatomy.lung_width * (1 + side * anatomy.asymmetry)
        narrow = 1 - 0.3 * np.clip(-(y + 0.1), 0, 1)  # narrower towards the apex
        away = (x - side * anatomy.lung_gap) / (width * narrow)
        oval = _inside(np.hypot(away, (y + 0.08) / anatomy.lung_height) - 1.0, 0.045)
        floor = anatomy.dome - 0.05 * side + 0.35 * np.square(x - side * anatomy.lung_gap)
        both += oval * _inside(y - floor, 0.025)
    return both


def _bones(anatomy: Anatomy, x: Plane, y: Plane) -> Plane:
    """Ribs, clavicles and spine."""
    far = np.abs(x)
    cage = _inside(far - 0.8, 0.03) * _inside(y - 0.8, 0.05)
    bow = 0.55 * np.square(far - 0.35) - 0.12 * far
    phase = (y + bow - anatomy.rib_start) / anatomy.rib_step
    row = np.rint(phase)
    band = np.exp(-np.square((phase - row) / 0.17)) * ((row >= 0) & (row < _RIBS))
    line = y - anatomy.clavicle + 0.25 * (far - 0.1) - 0.1 * np.square(far)
    clavicles = np.exp(-np.square(line / 0.03)) * _inside(np.abs(far - 0.4) - 0.32, 0.03)
    discs = 1 + 0.15 * np.cos(y * 34)
    spine = np.exp(-np.square(x / 0.1)) * discs
    return np.asarray(anatomy.rib_contrast * band * cage + 0.12 * clavicles + 0.16 * spine)


def _middle(anatomy: Anatomy, x: Plane, y: Plane) -> Plane:
    """Heart, mediastinum and what lies below the diaphragm."""
    heart = np.hypot((x - anatomy.heart_place) / anatomy.heart_width, (y - 0.28) / 0.34) - 1.0
    trunk = np.abs(x) - 0.13 - 0.04 * np.cos(3 * y)
    below = _inside(anatomy.dome + 0.1 - y, 0.05)
    return np.asarray(0.2 * _inside(heart, 0.06) + 0.12 * _inside(trunk, 0.03) + 0.08 * below)


def _vessels(x: Plane, y: Plane, size: int, rng: np.random.Generator) -> Plane:
    """Branching markings, dense at the hilum, as ridges of a smooth random field."""
    field = _smooth_noise(size, 12, rng)
    ridges = np.exp(-np.square(field / 0.25))
    hilum = sum(_blob(x - side * 0.24, y + 0.05, 0.3, 0.4) for side in (-1, 1))
    return np.asarray(ridges * hilum)


def _nodules(x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """Up to three calcified nodules or leads: small, sharp, bright, and no pneumonia."""
    total = np.zeros_like(x)
    for _ in range(rng.integers(0, 4)):
        across, down = rng.uniform(-0.7, 0.7), rng.uniform(-0.6, 0.5)
        total += _inside(np.hypot(x - across, y - down) - rng.uniform(0.015, 0.035), 0.008)
    return total


def _opacities(anatomy: Anatomy, x: Plane, y: Plane, size: int, rng: np.random.Generator) -> Plane:
    """Two to five cloudy patches of varying size, place, softness and density."""
    total = np.zeros_like(x)
    for _ in range(rng.integers(2, 6)):
        side = rng.choice([-1, 1])
        across = side * anatomy.lung_gap + rng.normal(0, 0.35) * anatomy.lung_width
        down = rng.uniform(-0.6 * anatomy.lung_height, anatomy.dome - 0.08)
        wide, tall = rng.uniform(0.1, 0.26, 2)
        total += rng.uniform(0.22, 0.5) * _blob(x - across, y - down, wide, tall)
    clouds = 1 + 0.45 * _smooth_noise(size, int(rng.integers(8, 20)), rng)
    return np.asarray(np.minimum(total * clouds, 0.55))


def _inside(distance: Plane, edge: float) -> Plane:
    """1 where `distance` is negative, 0 where positive, over a border of about `edge`."""
    return np.asarray(1 / (1 + np.exp(np.clip(distance / edge, -30, 30))))


def _blob(x: Plane, y: Plane, wide: float, tall: float) -> Plane:
    return np.asarray(np.exp(-np.square(x / wide) - np.square(y / tall)))


def _smooth_noise(size: int, grain: int, rng: np.random.Generator) -> Any:
    """A smooth random field (size, size) of unit variance or so; `grain` bumps along a side."""
    coarse = rng.normal(0, 1, (grain, grain)).astype(np.float32)
    fine = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(fine)
