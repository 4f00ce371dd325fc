"""PNG and JPEG pictures to uint8, as a careful viewer would show them.

16-bit and 32-bit grey is stretched from its smallest to its largest value, as a DICOM image without
a window is; palettes become colour; what is transparent lies on black; EXIF orientation is applied.
"""

from __future__ import annotations

import warnings
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fedcore.data.facts import Decoded, Facts
from fedcore.data.images import Pixels
from fedcore.data.intensity import stretch
from fedcore.errors import Quarantined

MAX_PICTURE_PIXELS = 2**27
_KINDS = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}


def picture_kind(content: bytes) -> str | None:
    """`png` or `jpeg` by the content's first bytes, None for anything else."""
    return next((kind for magic, kind in _KINDS.items() if content.startswith(magic)), None)


def decode_picture(content: bytes) -> Decoded:
    """Decode a PNG or JPEG to uint8 (H, W) or (H, W, 3); raises `Quarantined`."""
    kind = picture_kind(content) or "picture"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels, mode = _load(content)
    except (Image.DecompressionBombError, MemoryError):
        raise Quarantined("dimensions", "the picture is too large") from None
    except UnidentifiedImageError:
        raise Quarantined("unreadable", "the picture's header is damaged") from None
    except OSError as fault:
        short = "truncated" in str(fault) or "unexpected end" in str(fault)
        raise Quarantined("truncated" if short else "undecodable", type(fault).__name__) from None
    except (ArithmeticError, LookupError, SyntaxError, TypeError, ValueError) as fault:
        raise Quarantined("undecodable", type(fault).__name__) from None
    scanner = {"photometric": mode, "bits": "16" if mode.startswith("I") else "8"}
    return Decoded((pixels,), Facts(kind, scanner=scanner | {"transfer_syntax": kind.upper()}))


def _load(content: bytes) -> tuple[Pixels, str]:
    with Image.open(BytesIO(content), formats=("PNG", "JPEG")) as picture:
        if picture.width * picture.height > MAX_PICTURE_PIXELS:
            raise Quarantined("dimensions", f"{picture.height} x {picture.width}")
        mode = picture.mode
        return _eight_bits(ImageOps.exif_transpose(picture)), mode


def _eight_bits(picture: Image.Image) -> Pixels:
    if picture.mode.startswith(("I", "F")):
        return stretch(np.asarray(picture))
    if picture.has_transparency_data:
        picture = _on_black(picture.convert("RGBA"))
    elif picture.mode in {"1", "L"}:
        picture = picture.convert("L")
    else:
        picture = picture.convert("RGB")
    return np.array(picture, dtype=np.uint8)


def _on_black(picture: Image.Image) -> Image.Image:
    ground = Image.new("RGBA", picture.size, (0, 0, 0, 255))
    return Image.alpha_composite(ground, picture).convert("RGB")
