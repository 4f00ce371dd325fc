"""The right pixels from a DICOM file, or a countable reason why there are none.

Every transfer syntax that pydicom decodes with pylibjpeg and pyjpegls is read. Whatever a file
holds, reading it ends in frames or in `Quarantined`: nothing else is raised, nothing is logged
(pydicom's own messages quote header values), and no decoder is started on a frame whose header or
codestream asks for absurd amounts of memory.
"""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, RLELossless

from fedcore.data.codestream import encoded_size
from fedcore.data.deflated import inflates_beyond
from fedcore.data.dicom_attributes import facts_of, grey_rule, number, text, texts
from fedcore.data.facts import Decoded, Facts, FrameRule, chosen_frames
from fedcore.data.images import Pixels
from fedcore.data.intensity import to_eight_bits, to_grey
from fedcore.data.orientation import upright
from fedcore.errors import Quarantined

MAX_FRAME_VALUES = 2**27  # 134 million: beyond any radiograph or whole-slide tile
MAX_VALUES = 2**29  # over all chosen frames together
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
# Everything that pydicom and its decoders have been seen to raise on damaged input.
_FAULTS = (
    ArithmeticError,
    AttributeError,
    BufferError,
    BytesLengthException,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def is_dicom(content: bytes) -> bool:
    """Whether the content carries the DICOM preamble (PS3.10 section 7.1)."""
    return content[128:132] == b"DICM"


def read_dicom(content: bytes) -> Dataset:
    """Parse a file's content; raises `Quarantined` (not_dicom, unreadable, no_pixel_data, ...)."""
    if inflates_beyond(content):
        raise Quarantined("too_large", "the deflated dataset is a decompression bomb")
    with _quiet():
        try:
            return dcmread(BytesIO(content))
        except InvalidDicomError:
            raise Quarantined("not_dicom", "there is no DICOM preamble") from None
        except _FAULTS as fault:
            raise Quarantined("unreadable", _kind(fault)) from None


def decode_dicom(content: bytes, rule: FrameRule, attribute: str | None = None) -> Decoded:
    """Decode the chosen frames to uint8; raises `Quarantined`."""
    dataset = read_dicom(content)
    with _quiet():
        facts = read_facts(dataset, attribute)
        frames = tuple(frame_pixels(dataset, index) for index in frame_numbers(dataset, rule))
    return Decoded(frames, facts)


def read_facts(dataset: Dataset, attribute: str | None = None) -> Facts:
    """The header's facts; raises `Quarantined` when the header cannot be read."""
    with _quiet():
        try:
            syntax = dataset.file_meta.get("TransferSyntaxUID")
            return facts_of(dataset, UID(syntax).name if syntax else "", attribute)
        except _FAULTS as fault:
            raise Quarantined("unreadable", _kind(fault)) from None


def frame_numbers(dataset: Dataset, rule: FrameRule) -> range:
    """The chosen frames' numbers; raises `Quarantined` (no_pixel_data, dimensions, ...)."""
    try:
        if not any(keyword in dataset for keyword in _PIXELS):
            raise Quarantined("no_pixel_data", "the object is no image")
        count = int(text(dataset, "NumberOfFrames") or 1)
        sides = [int(number(dataset, keyword) or 0) for keyword in ("Rows", "Columns")]
        samples = int(number(dataset, "SamplesPerPixel") or 1)
    except _FAULTS as fault:
        raise Quarantined("unreadable", _kind(fault)) from None
    chosen = chosen_frames(count, rule)
    size = sides[0] * sides[1] * samples
    if count < 1 or not 0 < size <= MAX_FRAME_VALUES or size * len(chosen) > MAX_VALUES:
        raise Quarantined("dimensions", f"{count} frames of {sides[0]} x {sides[1]} x {samples}")
    return chosen


def stored_frame(dataset: Dataset, index: int) -> npt.NDArray[np.generic]:
    """Frame `index` as pydicom reads it (YBR already as RGB); raises `Quarantined`."""
    with _quiet():
        try:
            syntax = _transfer_syntax(dataset)
            _refuse_bomb(dataset, syntax, index)
            with _PanicsAreFaults():
                return _decoded(dataset, syntax, index)
        except BytesLengthException:
            raise Quarantined("truncated", "there are fewer bytes than pixels") from None
        except _FAULTS as fault:
            reason = "truncated" if "less than expected" in str(fault) else "undecodable"
            raise Quarantined(reason, _kind(fault)) from None


def frame_pixels(dataset: Dataset, index: int) -> Pixels:
    """Frame `index` as uint8 (H, W) or (H, W, 3), upright; raises `Quarantined`."""
    stored = stored_frame(dataset, index)
    try:
        pixels = _eight_bits(dataset, stored, index)
        view, orientation = text(dataset, "ViewPosition"), texts(dataset, "PatientOrientation")
        return upright(pixels, text(dataset, "Modality"), orientation, view)
    except _FAULTS as fault:
        raise Quarantined("undecodable", _kind(fault)) from None


def _eight_bits(dataset: Dataset, stored: npt.NDArray[np.generic], index: int) -> Pixels:
    if text(dataset, "PhotometricInterpretation") == "PALETTE COLOR":
        colour = apply_color_lut(stored, dataset)
        return to_eight_bits(colour, 16 if colour.max() > 255 else 8)
    if stored.ndim == 3:
        return to_eight_bits(stored, int(number(dataset, "BitsStored") or 8))
    return to_grey(stored, grey_rule(dataset, index))


def _decoded(dataset: Dataset, syntax: UID, index: int) -> npt.NDArray[np.generic]:
    # pylibjpeg reads RLE several times faster than pydicom's own plug-in, which comes first.
    plugin = "pylibjpeg" if syntax == RLELossless else ""
    values: npt.NDArray[np.generic] = pixel_array(dataset, index=index, decoding_plugin=plugin)
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] != 3):
        raise Quarantined("unsupported", f"a frame has {values.ndim} dimensions")
    return values


def _transfer_syntax(dataset: Dataset) -> UID:
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if not syntax:
        raise Quarantined("undecodable", "the file names no transfer syntax")
    try:
        available = get_decoder(UID(syntax)).is_available
    except NotImplementedError:
        available = False
    if not available:
        raise Quarantined("unsupported", f"no decoder for transfer syntax {UID(syntax).name}")
    return UID(syntax)


def _refuse_bomb(dataset: Dataset, syntax: UID, index: int) -> None:
    """Raise `Quarantined` if the codestream is of another size than the header says."""
    if not syntax.is_encapsulated or "PixelData" not in dataset:
        return
    count = int(text(dataset, "NumberOfFrames") or 1)
    size = encoded_size(get_frame(dataset.PixelData, index, number_of_frames=count))
    if size is not None and size != (dataset.Rows, dataset.Columns):
        raise Quarantined("dimensions", f"the codestream is {size[0]} x {size[1]}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep pydicom's warnings and log records to itself: they quote values of the header."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


class _PanicsAreFaults:
    """Turns a panic in pylibjpeg's Rust code into a fault.

    Its RLE decoder panics on damaged data with an exception that is no `Exception`, of a class that
    cannot be imported.
    """

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Raise `Quarantined` in place of a panic; let everything else pass."""
        if kind is not None and kind.__name__ == "PanicException":
            raise Quarantined("undecodable", "the decoder gave up") from None


def _kind(fault: Any) -> str:
    """The fault's class alone: its text may quote the header."""
    return type(fault).__name__
