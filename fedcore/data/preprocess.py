"""Resize and centre crop, once, before the cache: what torchvision's published transform does.

Resize the shorter side to S * 256 / 224 and crop S x S from the centre; bilinear with antialiasing,
by pillow, so the bytes equal torchvision's `Resize` and `CenterCrop` on a pillow image.
Normalisation is left to the batch.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image

from fedcore.config import TaskFile
from fedcore.data.facts import FrameRule, is_grey
from fedcore.data.images import Pixels

VERSION = 1  # raise it whenever decoding or preprocessing gives other bytes than before
_MAX_ASPECT = 8  # the middle of a longer strip is used, so that resizing it cannot exhaust memory


@dataclass(frozen=True)
class Preprocessing:
    """What happens to a frame before the cache; its hash names the cache's folder."""

    channels: int
    height: int
    width: int
    frame: FrameRule = "middle"
    version: int = VERSION

    @classmethod
    def of(cls, task: TaskFile) -> Preprocessing:
        """The preprocessing that a task file asks for."""
        channels, height, width = task.model.input_size
        return cls(channels, height, width, task.data.frame)

    def fingerprint(self) -> str:
        """SHA-256 in hex over every field."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def apply(self, pixels: Pixels) -> Pixels:
        """uint8 (h, w) or (h, w, 3) as (C, height, width).

        C is 1 for a grey image, which is replicated to three channels when it is batched, and for
        any image if the model takes one channel (luminance, ITU-R 601-2); else 3.
        """
        grey = is_grey(pixels)
        image = Image.fromarray(pixels if pixels.ndim == 2 or not grey else pixels[..., 0])
        if self.channels == 1 and not grey:
            image = image.convert("L")
        small = self._cropped(self._resized(_not_too_long(image)))
        values = np.asarray(small, dtype=np.uint8)
        planes = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
        return np.ascontiguousarray(planes)

    def _resized(self, image: Image.Image) -> Image.Image:
        height, width = (round(side * 256 / 224) for side in (self.height, self.width))
        if height * image.width >= width * image.height:
            size = (height * image.width // image.height, height)
        else:
            size = (width, width * image.height // image.width)
        return image if size == image.size else image.resize(size, Image.Resampling.BILINEAR)

    def _cropped(self, image: Image.Image) -> Image.Image:
        top = round((image.height - self.height) / 2)
        left = round((image.width - self.width) / 2)
        return image.crop((left, top, left + self.width, top + self.height))


def _not_too_long(image: Image.Image) -> Image.Image:
    width = min(image.width, _MAX_ASPECT * image.height)
    height = min(image.height, _MAX_ASPECT * image.width)
    if (width, height) == image.size:
        return image
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
