"""Deflated DICOM: how large it becomes, found out before anything inflates it into memory."""

from __future__ import annotations

import zlib

MAX_INFLATED = 2**29  # bytes
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_LONG_LENGTH = (b"OB", b"OW", b"UN", b"SQ", b"UT", b"OF", b"OD", b"OL", b"OV", b"UC", b"UR")
_STEP = 2**22


def inflates_beyond(content: bytes, limit: int = MAX_INFLATED) -> bool:
    """Whether a DICOM file's content is deflated and would inflate to more than `limit` bytes."""
    start = _deflated_start(content)
    if start is None:
        return False
    inflate, rest, size = zlib.decompressobj(-zlib.MAX_WBITS), content[start:], 0
    while rest and size <= limit and not inflate.eof:
        try:
            size += len(inflate.decompress(rest, _STEP))
        except zlib.error:
            return False  # damaged, which the reader itself will say
        rest = inflate.unconsumed_tail
    return size > limit


def _deflated_start(content: bytes) -> int | None:
    """Where the deflated dataset begins; None for any other transfer syntax."""
    at, syntax = 132, b""
    while content[at : at + 2] == b"\x02\x00" and at + 12 <= len(content):
        long = content[at + 4 : at + 6] in _LONG_LENGTH
        head = 12 if long else 8
        length = int.from_bytes(content[at + (8 if long else 6) : at + head], "little")
        if content[at + 2 : at + 4] == b"\x10\x00":
            syntax = content[at + head : at + head + length].rstrip(b"\0 ")
        at += head + length
    return at if syntax == _DEFLATED else None
