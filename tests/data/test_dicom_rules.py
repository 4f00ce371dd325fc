"""From stored values to grey levels, rule by rule, and the bombs that are refused."""

from __future__ import annotations

import numpy as np
import pytest
from data_story import dicom, lookup, noise, outcome, ramp
from pydicom.dataset import Dataset
from pydicom.pixels import apply_voi_lut

from fedcore.data.codestream import encoded_size
from fedcore.data.decode import decode_content
from fedcore.data.deflated import inflates_beyond
from fedcore.data.dicom import read_dicom
from fedcore.data.facts import REASONS
from fedcore.data.intensity import Window, apply_window
from fedcore.errors import Quarantined


def grey(content: bytes, rule="middle") -> np.ndarray:
    return decode_content(content, rule).frames[0]


def refusal(content: bytes) -> str:
    with pytest.raises(Quarantined) as refused:
        decode_content(content, "first")
    return refused.value.reason


def test_absurd_dimensions_are_refused_before_memory_is_asked_for():
    assert refusal(dicom(ramp(0, 9), Rows=60000, Columns=60000)) == "dimensions"
    assert refusal(dicom(ramp(0, 9), Rows=0)) == "dimensions"
    assert refusal(dicom(ramp(0, 9), NumberOfFrames=0)) == "dimensions"
    many = dicom(ramp(0, 9), NumberOfFrames=2_000_000_000)
    with pytest.raises(Quarantined, match="dimensions"):
        decode_content(many, "all")


@pytest.mark.parametrize("syntax", ["JPEG2000Lossless", "JPEGLSLossless"])
def test_a_codestream_larger_than_its_header_says_is_refused(syntax):
    content = dicom(ramp(0, 4000, shape=(64, 64)), syntax, Rows=8, Columns=8)
    assert refusal(content) == "dimensions"


def test_sizes_are_read_from_codestreams():
    content = dicom(ramp(0, 4000, shape=(65, 97)), "JPEG2000Lossless")
    assert encoded_size(content[content.find(b"\xff\x4f\xff\x51") :]) == (65, 97)
    content = dicom(ramp(0, 4000, shape=(33, 47)), "JPEGLSLossless")
    assert encoded_size(content[content.find(b"\xff\xd8") :]) == (33, 47)
    assert encoded_size(b"\xff\xd8\xff\xe0\x00\x00") is None


def test_a_deflated_bomb_is_refused_before_it_is_inflated():
    honest = dicom(ramp(0, 9), "DeflatedExplicitVRLittleEndian")
    assert not inflates_beyond(honest)
    assert inflates_beyond(honest, limit=100)
    assert not inflates_beyond(dicom(ramp(0, 9)), limit=1)


def test_an_unknown_transfer_syntax_is_unsupported():
    content = dicom(ramp(0, 9)).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.7\0")
    assert refusal(content) in {"unsupported", "unreadable"}


def test_empty_and_foreign_files_are_told_apart():
    assert refusal(b"") == "empty"
    assert refusal(b"hello, world" * 40) == "not_dicom"


def test_without_a_window_the_frames_range_is_spread_over_all_grey_levels():
    got = grey(dicom(ramp(1000, 3000)))
    assert (got.min(), got.max()) == (0, 255)
    assert np.array_equal(got, np.rint((ramp(1000, 3000) - 1000.0) / 2000 * 255))


def test_a_constant_image_is_black():
    assert not grey(dicom(np.full((9, 9), 700, np.uint16))).any()


def test_signed_values_and_rescale_are_honoured():
    stored = ramp(-1000, 1000, np.int16)
    window = {"WindowCenter": 40, "WindowWidth": 400}
    plain = grey(dicom(stored, **window))
    shifted = grey(dicom(stored + 24, RescaleSlope=1, RescaleIntercept=-24, **window))
    assert np.array_equal(plain, shifted)
    assert plain.min() == 0
    assert plain.max() == 255


def test_the_window_equals_pydicoms_within_one_level():
    for function in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        attributes = {"WindowCenter": 1500, "WindowWidth": 900, "VOILUTFunction": function}
        content = dicom(ramp(0, 4095), bits=12, **attributes)
        dataset = read_dicom(content)
        reference = apply_voi_lut(dataset.pixel_array, dataset) / 4095 * 255
        assert np.abs(grey(content) - reference).max() <= 1, function


def test_a_useless_window_is_passed_over():
    plain = grey(dicom(ramp(0, 4095)))
    for center, width in ((2000, 0), (2000, -5), (-90000, 10)):
        assert np.array_equal(
            grey(dicom(ramp(0, 4095), WindowCenter=center, WindowWidth=width)), plain
        )


def test_a_width_of_one_is_a_threshold():
    got = apply_window(np.array([1.0, 1.5, 1.6, 2.0]), Window(2.0, 1.0))
    assert got.tolist() == [0, 0, 255, 255]


def test_the_first_of_several_windows_is_taken():
    one = grey(dicom(ramp(0, 4095), WindowCenter=1000, WindowWidth=500))
    two = grey(dicom(ramp(0, 4095), WindowCenter=[1000, 3000], WindowWidth=[500, 90]))
    assert np.array_equal(one, two)


def test_a_voi_table_comes_before_a_window():
    stored = np.array([[0, 1, 2, 3, 9]], np.uint16)
    table = [lookup([0, 1023, 0, 1023], 0, 10)]
    content = dicom(stored, VOILUTSequence=table, WindowCenter=2, WindowWidth=4)
    assert grey(content).tolist() == [[0, 255, 0, 255, 255]]


def test_a_modality_table_is_applied_first():
    stored = np.array([[10, 11, 12, 13]], np.uint16)
    content = dicom(stored, ModalityLUTSequence=[lookup([0, 300, 200, 100], 10, 12)])
    assert grey(content).tolist() == [[0, 255, 170, 85]]


def test_monochrome1_is_inverted():
    normal = grey(dicom(ramp(0, 1023)))
    inverse = grey(dicom(ramp(0, 1023), PhotometricInterpretation="MONOCHROME1"))
    assert np.array_equal(inverse, 255 - normal)


def test_padding_does_not_set_the_ends_of_the_range():
    stored = ramp(1000, 2000, np.int16)
    padded = stored.copy()
    padded[0] = -2000
    got = grey(dicom(padded, PixelPaddingValue=-2000))
    assert np.abs(got[1:].astype(int) - grey(dicom(stored[1:])).astype(int)).max() == 0
    assert not got[0].any()


@pytest.mark.parametrize("syntax", ["RLELossless", "JPEGLSLossless", "JPEG2000Lossless"])
def test_damage_inside_a_codestream_is_survived(syntax):
    whole = dicom(noise(9, (64, 64)), syntax)
    random = np.random.default_rng(0)
    start = whole.rfind(b"\xe0\x7f\x10\x00") + 40
    for _ in range(60):
        damaged = bytearray(whole)
        for place in random.integers(start, len(whole), 3):
            damaged[place] = random.integers(256)
        got = outcome(bytes(damaged))
        assert got in REASONS or got == [(64, 64)]


def test_every_frame_has_its_own_window_where_the_object_says_so():
    groups = []
    for center in (100, 900):
        window, group = Dataset(), Dataset()
        window.WindowCenter, window.WindowWidth = center, 50
        group.FrameVOILUTSequence = [window]
        groups.append(group)
    frames = np.stack([ramp(0, 1000), ramp(0, 1000)])
    got = decode_content(dicom(frames, PerFrameFunctionalGroupsSequence=groups), "all").frames
    assert (got[0] > 127).mean() > 0.85
    assert (got[1] > 127).mean() < 0.15


def test_the_frame_rule_picks_first_middle_last_or_all():
    frames = np.stack([np.full((4, 4), level, np.uint8) for level in range(5)])
    frames[:, 0, 0] = 255
    frames[:, 0, 1] = 0
    content = dicom(frames)
    levels = {
        rule: [frame[2, 2] for frame in decode_content(content, rule).frames]
        for rule in ("first", "middle", "last", "all")
    }
    assert levels == {"first": [0], "middle": [2], "last": [4], "all": [0, 1, 2, 3, 4]}


def test_one_bit_masks_are_black_and_white(shared_data):
    mask = grey((shared_data / "dicom" / "pydicom" / "liver_1frame.dcm").read_bytes())
    assert set(np.unique(mask)) == {0, 255}


ASYMMETRIC = noise(3, (12, 10))


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (["L", "F"], ASYMMETRIC),
        (["R", "F"], ASYMMETRIC[:, ::-1]),
        (["L", "H"], ASYMMETRIC[::-1]),
        (["R", "H"], ASYMMETRIC[::-1, ::-1]),
        (["F", "L"], ASYMMETRIC.T),
        (["H", "L"], ASYMMETRIC[::-1].T),
        (["F", "R"], ASYMMETRIC[:, ::-1].T),
        (["RP", "FA"], ASYMMETRIC[:, ::-1]),
    ],
)
def test_a_frontal_radiograph_comes_out_head_up_and_left_on_the_right(orientation, stored):
    content = dicom(
        np.ascontiguousarray(stored),
        Modality="DX",
        ViewPosition="PA",
        PatientOrientation=orientation,
    )
    assert np.array_equal(grey(content), grey(dicom(ASYMMETRIC)))


@pytest.mark.parametrize(
    "attributes",
    [
        {"Modality": "DX"},
        {"Modality": "DX", "ViewPosition": "AP"},
        {"Modality": "DX", "ViewPosition": "LL", "PatientOrientation": ["R", "F"]},
        {"Modality": "DX", "PatientOrientation": ["A", "F"]},
        {"Modality": "CT", "PatientOrientation": ["R", "F"]},
        {"Modality": "CR", "PatientOrientation": "R"},
    ],
)
def test_nothing_is_turned_without_reason(attributes):
    assert np.array_equal(grey(dicom(ASYMMETRIC, **attributes)), grey(dicom(ASYMMETRIC)))
