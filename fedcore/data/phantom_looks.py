"""How a hospital's scanner renders anatomy: contrast, noise, borders, letters, encoding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedcore.data.phantom_drawing import Plane

Stored = npt.NDArray[np.uint16]
# Automatic exposure control: most of what makes a whole image brighter or darker is taken back, so
# that the mean brightness says little about disease.
_AUTOMATIC = 0.8
_TARGET = 0.5
_LETTERS = {
    "L": ("1000", "1000", "1000", "1000", "1111"),
    "R": ("1110", "1001", "1110", "1010", "1001"),
}


@dataclass(frozen=True)
class Look:
    """One hospital's scanner and case mix.

    `gamma` bends the contrast curve; `noise` and `exposure` are standard deviations as shares of
    full scale; `blur` is a standard deviation in pixels of a 176-pixel image; `border` is the share
    of the side that collimation may cut; `mirrored` is the share of images stored mirrored, with a
    PatientOrientation that says so; `syntaxes` are names of pydicom's transfer syntaxes, in turn.
    """

    manufacturer: str
    model: str
    modality: str
    bits: int
    photometric: str
    syntaxes: tuple[str, ...]
    gamma: float
    noise: float
    exposure: float
    blur: float
    border: float
    marker: str
    sick: float
    windowed: bool
    mirrored: float = 0.0


LOOKS: dict[str, Look] = {
    "9999": Look(
        manufacturer="Phantom Imaging", model="Clarity 12", modality="DX", bits=12,
        photometric="MONOCHROME2", syntaxes=("JPEG2000Lossless", "ExplicitVRLittleEndian"),
        gamma=1.0, noise=0.02, exposure=0.06, blur=0.4, border=0.04, marker="L", sick=0.5,
        windowed=True,
    ),
    "10000": Look(
        manufacturer="Example Radiography", model="Plate 10", modality="CR", bits=10,
        photometric="MONOCHROME1", syntaxes=("RLELossless", "ImplicitVRLittleEndian"),
        gamma=0.7, noise=0.045, exposure=0.07, blur=0.9, border=0.09, marker="R", sick=0.65,
        windowed=False, mirrored=0.3,
    ),
    "10001": Look(
        manufacturer="Sample Systems", model="Deep 16", modality="DX", bits=16,
        photometric="MONOCHROME2", syntaxes=("JPEGLSLossless", "DeflatedExplicitVRLittleEndian"),
        gamma=1.5, noise=0.03, exposure=0.06, blur=0.6, border=0.0, marker="L", sick=0.35,
        windowed=True,
    ),
}  # fmt: skip


def render(image: Plane, look: Look, rng: np.random.Generator) -> Stored:
    """Attenuation (H, W) as stored values of `look.bits` bits, MONOCHROME1 already inverted."""
    size = len(image)
    even = image + _AUTOMATIC * (_TARGET - image.mean())
    exposed = even * rng.normal(1.0, look.exposure) + rng.normal(0.0, look.exposure)
    scene = np.power(np.clip(_blurred(exposed, look.blur * size / 176), 0, 1), look.gamma)
    grain = rng.normal(0, look.noise, scene.shape).astype(np.float32)
    scene = _collimated(scene + grain * np.sqrt(0.3 + scene), look, rng)
    _mark(scene, look.marker, rng)
    full = 2**look.bits - 1
    values = np.rint(np.clip(0.04 + 0.9 * scene, 0, 1) * full).astype(np.uint16)
    return np.asarray(full - values if look.photometric == "MONOCHROME1" else values, np.uint16)


def _blurred(image: Plane, sigma: float) -> Plane:
    """Gaussian blur, along one axis and then the other."""
    reach = max(1, round(2.5 * sigma))
    weights = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / sigma))
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (0, 1):
        width = [(reach, reach) if axis == other else (0, 0) for other in (0, 1)]
        padded, length = np.pad(image, width, mode="edge"), image.shape[axis]
        image = np.asarray(
            sum(w * padded.take(range(k, k + length), axis) for k, w in enumerate(weights))
        )
    return image


def _collimated(scene: Plane, look: Look, rng: np.random.Generator) -> Plane:
    """Black outside the collimator's blades."""
    top, bottom, left, right = rng.integers(0, max(1, int(look.border * len(scene))) + 1, 4)
    open_field = np.zeros_like(scene)
    open_field[top : len(scene) - bottom, left : len(scene) - right] = 1
    return scene * open_field


def _mark(scene: Plane, letter: str, rng: np.random.Generator) -> None:
    """Put the side's letter beside the shoulder: `L` on the viewer's right, `R` on the left."""
    dots = np.array([[int(dot) for dot in line] for line in _LETTERS[letter]], bool)
    sign = np.kron(dots, np.ones((max(1, len(scene) // 88),) * 2, bool))
    top = int(len(scene) * rng.uniform(0.04, 0.12))
    inset = int(len(scene) * rng.uniform(0.04, 0.1))
    left = len(scene) - inset - sign.shape[1] if letter == "L" else inset
    scene[top : top + sign.shape[0], left : left + sign.shape[1]][sign] = 1.0
