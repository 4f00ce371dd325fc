"""PNG and JPEG in all the forms that people export."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from data_story import noise, picture, ramp
from PIL import Image

from fedcore.data.decode import decode_content, decode_file
from fedcore.data.pictures import decode_picture
from fedcore.errors import Quarantined


def refusal(content: bytes) -> str:
    with pytest.raises(Quarantined) as refused:
        decode_content(content, "first")
    return refused.value.reason


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(1000))
    chunks = (body, data, b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    )


def test_a_picture_bomb_is_refused():
    assert refusal(png_header(50_000, 50_000)) == "dimensions"
    assert refusal(png_header(14_000, 14_000)) == "dimensions"


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_truncated_picture_is_set_aside(kind):
    content = picture(noise(1, (64, 64)), kind)
    assert refusal(content[: len(content) // 2]) in {"truncated", "undecodable"}
    assert refusal(content[:12]) in {"truncated", "undecodable", "unreadable"}


def test_a_missing_file_is_unreadable(tmp_path):
    with pytest.raises(Quarantined, match="unreadable"):
        decode_file(tmp_path / "gone.png")


def test_grey_and_colour_are_kept():
    assert np.array_equal(decode_picture(picture(noise(1))).frames[0], noise(1))
    colour = noise(2, (8, 9, 3))
    assert np.array_equal(decode_picture(picture(colour)).frames[0], colour)


def test_sixteen_bits_are_stretched_not_clipped():
    got = decode_picture(picture(ramp(100, 4000))).frames[0]
    assert (got.min(), got.max()) == (0, 255)
    assert len(np.unique(got)) > 200


def test_a_palette_becomes_colour():
    palette = Image.fromarray(noise(3) % 4, "P")
    palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120])
    got = decode_picture(saved(palette, "PNG")).frames[0]
    assert got.shape == (*noise(3).shape, 3)
    assert set(np.unique(got[..., 1])) == {20, 50, 80, 110}


def test_what_is_transparent_lies_on_black():
    pixels = np.full((4, 4, 4), 200, np.uint8)
    pixels[:2, :, 3] = 0
    pixels[2:, :, 3] = 255
    got = decode_picture(picture(pixels)).frames[0]
    assert not got[:2].any()
    assert (got[2:] == 200).all()


def test_exif_orientation_is_applied():
    image = Image.fromarray(noise(4, (16, 32)))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    got = decode_picture(saved(image, "JPEG", exif=exif, quality=100)).frames[0]
    assert got.shape == (32, 16)
    assert np.abs(got.astype(int) - np.rot90(noise(4, (16, 32)), -1)).mean() < 3


def test_one_bit_pictures_are_black_and_white():
    got = decode_picture(picture(noise(5) > 100)).frames[0]
    assert np.array_equal(got, np.where(noise(5) > 100, 255, 0))


def saved(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()
