"""One file in, uint8 frames and facts out: DICOM, PNG and JPEG, told apart by their content."""

from __future__ import annotations

from pathlib import Path

from fedcore.data.dicom import decode_dicom, is_dicom
from fedcore.data.facts import Decoded, FrameRule
from fedcore.data.pictures import decode_picture, picture_kind
from fedcore.errors import Quarantined

MAX_FILE_BYTES = 2**31


def decode_file(path: Path, rule: FrameRule = "middle", attribute: str | None = None) -> Decoded:
    """Read and decode one file; raises `Quarantined` with a countable reason, nothing else."""
    return decode_content(read_content(path), rule, attribute)


def read_content(path: Path) -> bytes:
    """A file's bytes; raises `Quarantined` (too_large, unreadable)."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise Quarantined("too_large", f"over {MAX_FILE_BYTES} bytes")
        return path.read_bytes()
    except OSError as fault:
        raise Quarantined("unreadable", type(fault).__name__) from None


def decode_content(content: bytes, rule: FrameRule, attribute: str | None = None) -> Decoded:
    """Decode a file's content; raises `Quarantined`."""
    if not content:
        raise Quarantined("empty", "the file has no bytes")
    if picture_kind(content):
        return decode_picture(content)
    if is_dicom(content):
        return decode_dicom(content, rule, attribute)
    raise Quarantined("not_dicom", "the file is no DICOM, PNG or JPEG file")
