"""What a compressed frame says about its own size, read before any decoder allocates memory for it.

A file whose header says 100 x 100 may carry a codestream of 60,000 x 60,000: a decompression bomb.
"""

from __future__ import annotations

import struct

_J2K_START = b"\xff\x4f\xff\x51"
_JPEG_START = b"\xff\xd8"
# Start-of-frame markers: JPEG without DHT (C4), JPG (C8) and DAC (CC), and JPEG-LS (F7).
_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD8)})


def encoded_size(frame: bytes) -> tuple[int, int] | None:
    """(height, width) as written in a JPEG, JPEG-LS or JPEG 2000 codestream; None if not found."""
    if frame.startswith(_JPEG_START):
        return _jpeg_size(frame)
    start = frame.find(_J2K_START, 0, 4096)
    return _j2k_size(frame[start:]) if start >= 0 else None


def _j2k_size(stream: bytes) -> tuple[int, int] | None:
    if len(stream) < 24:
        return None
    right, bottom, left, top = struct.unpack(">4I", stream[8:24])
    return bottom - top, right - left


def _jpeg_size(stream: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(stream):
        if stream[at] != 0xFF:
            return None
        marker = stream[at + 1]
        if marker in _FRAME_MARKERS:
            height, width = struct.unpack(">HH", stream[at + 5 : at + 9])
            return height, width
        at += _segment_length(stream, at, marker)
    return None


def _segment_length(stream: bytes, at: int, marker: int) -> int:
    """Bytes from this marker to the next; a fill byte (FF FF) is one byte long."""
    if marker == 0xFF:
        return 1
    if marker in _BARE_MARKERS:
        return 2
    return 2 + max(2, int.from_bytes(stream[at + 2 : at + 4], "big"))
