"""Which transfer syntaxes this machine really decodes: each is tried on a tiny image.

That a decoder is installed says little: one of another version, or without its shared library,
fails on the first study. So a small image whose pixels are known is decoded in every syntax.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
import numpy.typing as npt
import pydicom.uid
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from fedcore.data.dicom import stored_frame
from fedcore.errors import Quarantined

_SIDE = 64  # JPEG 2000 halves it five times
_SOP_CLASS = "1.2.840.10008.5.1.4.1.1.7"
# Start-of-frame markers (ITU-T T.81 table B.1): baseline, extended sequential, lossless.
_BASELINE, _EXTENDED, _LOSSLESS = 0xC0, 0xC1, 0xC3
Plane = npt.NDArray[np.uint16]
Frame = Callable[[], bytes | None]


def decodable() -> dict[str, bool]:
    """Transfer syntax (pydicom's keyword) -> whether a tiny image in it comes out as it went in."""
    picture = (np.arange(_SIDE * _SIDE, dtype=np.uint16) * 7 % 4096).reshape(_SIDE, _SIDE)
    grey = np.full((_SIDE, _SIDE), 2048, np.uint16)
    byte = np.full((_SIDE, _SIDE), 128, np.uint16)
    jpeg_2000 = _encoder(picture, "JPEG2000Lossless")
    jpeg_ls = _encoder(picture, "JPEGLSLossless")
    tried: dict[str, tuple[Plane, int, Frame]] = {
        "ExplicitVRLittleEndian": (picture, 12, lambda: None),
        "RLELossless": (picture, 12, _encoder(picture, "RLELossless")),
        "JPEGBaseline8Bit": (byte, 8, lambda: _jpeg(_BASELINE, 8)),
        "JPEGExtended12Bit": (grey, 12, lambda: _jpeg(_EXTENDED, 12)),
        "JPEGLossless": (grey, 12, lambda: _jpeg(_LOSSLESS, 12)),
        "JPEGLosslessSV1": (grey, 12, lambda: _jpeg(_LOSSLESS, 12)),
        "JPEGLSLossless": (picture, 12, jpeg_ls),
        "JPEGLSNearLossless": (picture, 12, jpeg_ls),
        "JPEG2000Lossless": (picture, 12, jpeg_2000),
        "JPEG2000": (picture, 12, jpeg_2000),
    }
    return {name: _survives(name, *trial) for name, trial in tried.items()}


def _survives(syntax: str, pixels: Plane, bits: int, frame: Frame) -> bool:
    """Whether decoding gives back `pixels` (H, W)."""
    uid = UID(getattr(pydicom.uid, syntax))
    try:
        found = stored_frame(_written(pixels, bits, uid, frame()), 0)
    except (Quarantined, RuntimeError):  # RuntimeError: nothing here that encodes it
        return False
    return bool(np.array_equal(found, pixels))


def _written(pixels: Plane, bits: int, syntax: UID, frame: bytes | None) -> Dataset:
    """The dataset as it would be read from a file; without `frame` the pixels stand as they are."""
    dataset = _dataset(pixels, bits)
    plain = pixels.astype("<u2" if bits > 8 else "u1").tobytes()
    dataset.PixelData = plain if frame is None else encapsulate([frame])
    dataset["PixelData"].VR = "OW" if bits > 8 and frame is None else "OB"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return dcmread(BytesIO(stream.getvalue()))


def _dataset(pixels: Plane, bits: int) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = _SOP_CLASS, "1.2.3"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = 16 if bits > 8 else 8
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits - 1, 0
    return dataset


def _encoder(pixels: Plane, syntax: str) -> Frame:
    """Encodes `pixels` without loss; the library that encodes a family also decodes all of it."""

    def encode() -> bytes:
        dataset = _dataset(pixels, 12)
        dataset.file_meta = FileMetaDataset()
        dataset.compress(getattr(pydicom.uid, syntax), pixels, generate_instance_uid=False)
        return bytes(pydicom.encaps.get_frame(dataset.PixelData, 0, number_of_frames=1))

    return encode


def _jpeg(marker: int, bits: int) -> bytes:
    """A JPEG of medium grey, written by hand: no library here encodes 12 bits or lossless JPEG.

    Medium grey is what every difference and coefficient is counted from, so all of them are zero,
    and the one code that is needed is a single bit (ITU-T T.81, Annexes B, F and H).
    """
    lossless = marker == _LOSSLESS
    codes = b"\x01" + bytes(15) + b"\x00"
    tables = _segment(0xC4, b"\x00" + codes)
    if not lossless:
        tables += _segment(0xDB, b"\x00" + b"\x01" * 64) + _segment(0xC4, b"\x10" + codes)
    frame = _segment(marker, bytes([bits, 0, _SIDE, 0, _SIDE, 1, 1, 0x11, 0]))
    scan = _segment(0xDA, b"\x01\x01\x00" + (b"\x01\x00\x00" if lossless else b"\x00\x3f\x00"))
    zeros = _SIDE * _SIDE if lossless else 2 * (_SIDE // 8) ** 2
    return b"\xff\xd8" + tables + frame + scan + bytes(zeros // 8) + b"\xff\xd9"


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content
