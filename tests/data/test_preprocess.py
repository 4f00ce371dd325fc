"""Resize and crop are what the published transform does, byte for byte."""

from __future__ import annotations

import numpy as np
import pytest
from data_story import noise, task_file
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import v2

from fedcore.data.preprocess import Preprocessing


@settings(max_examples=40, deadline=None, derandomize=True)
@given(height=st.integers(20, 160), width=st.integers(20, 160), size=st.sampled_from([16, 28, 64]))
def test_square_sizes_equal_torchvisions_transform(height, width, size):
    pixels = noise(height * 1000 + width, (height, width))
    published = v2.Compose([v2.Resize(round(size * 256 / 224)), v2.CenterCrop(size)])
    reference = np.asarray(published(Image.fromarray(pixels)))
    got = Preprocessing(1, size, size).apply(pixels)
    assert np.array_equal(got[0], reference)


@pytest.mark.parametrize("shape", [(3, 3), (1, 5000), (5000, 1), (300, 200), (200, 300, 3)])
@pytest.mark.parametrize("size", [(3, 32, 48), (1, 64, 20), (3, 8, 8)])
def test_any_image_fits_any_input_size(shape, size):
    got = Preprocessing(*size).apply(noise(1, shape))
    assert got.shape[1:] == size[1:]
    assert got.shape[0] == (3 if size[0] == 3 and len(shape) == 3 else 1)


def test_colour_becomes_luminance_for_one_channel():
    red = np.zeros((40, 40, 3), np.uint8)
    red[..., 0] = 255
    assert set(np.unique(Preprocessing(1, 16, 16).apply(red))) == {76}


def test_three_equal_channels_are_kept_as_one():
    pixels = noise(2, (40, 40))
    steps = Preprocessing(3, 16, 16)
    assert np.array_equal(steps.apply(np.stack([pixels] * 3, axis=-1)), steps.apply(pixels))


def test_every_field_is_part_of_the_fingerprint():
    base = Preprocessing.of(task_file())
    tasks = (task_file((3, 16, 16)), task_file((1, 16, 17)), task_file(frame="first"))
    others = [*map(Preprocessing.of, tasks), Preprocessing(1, 16, 16, version=99)]
    prints = {steps.fingerprint() for steps in (base, *others)}
    assert len(prints) == 5
    assert Preprocessing.of(task_file()).fingerprint() == base.fingerprint()
