"""The probe of the decoders: all that the project promises, and one that is away is noticed."""

from __future__ import annotations

import pytest

from fedcore.data import decoders
from fedcore.errors import Quarantined


def test_every_promised_transfer_syntax_decodes_here():
    assert decoders.decodable() == dict.fromkeys(decoders.decodable(), True)


def test_a_decoder_that_fails_is_told_from_the_others(monkeypatch):
    decode = decoders.stored_frame

    def broken(dataset, index):
        if dataset.file_meta.TransferSyntaxUID.name.startswith("JPEG 2000"):
            raise Quarantined("undecodable", "its library is away")
        return decode(dataset, index)

    monkeypatch.setattr(decoders, "stored_frame", broken)
    failed = {name for name, decodes in decoders.decodable().items() if not decodes}
    assert failed == {"JPEG2000", "JPEG2000Lossless"}


@pytest.mark.parametrize("name", ["JPEGLossless", "JPEGExtended12Bit", "RLELossless"])
def test_wrong_pixels_are_no_success(name, monkeypatch):
    decode = decoders.stored_frame
    monkeypatch.setattr(decoders, "stored_frame", lambda *given: decode(*given) + 1)
    assert decoders.decodable()[name] is False
