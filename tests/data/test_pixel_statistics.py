"""A party's own mean and deviation: of its training pixels, exact, whatever the chunks."""

from __future__ import annotations

import numpy as np
from data_story import task_file, two_classes
from hypothesis import given
from hypothesis import strategies as st

from fedcore.data.cohort import open_cohort
from fedcore.data.images import ArrayImages, measure_pixels


@given(amount=st.integers(1, 9), channels=st.sampled_from([1, 3]), chunk=st.integers(1, 9))
def test_they_are_those_of_the_written_formula(amount, channels, chunk):
    random = np.random.default_rng(amount)
    pixels = random.integers(0, 256, (amount, channels, 4, 5), dtype=np.uint8)
    found = measure_pixels(ArrayImages(pixels, np.zeros(amount, np.int64), amount), chunk)
    np.testing.assert_allclose(found.mean, (pixels / 255).mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(found.std, (pixels / 255).std(axis=(0, 2, 3)), rtol=1e-9)
    assert found == measure_pixels(ArrayImages(pixels, np.zeros(amount, np.int64), amount))


def test_a_channel_that_never_changes_is_not_divided_by_zero():
    flat = ArrayImages(np.full((2, 1, 4, 4), 51, np.uint8), np.zeros(2, np.int64), 2)
    assert measure_pixels(flat).mean == (0.2,)
    assert measure_pixels(flat).std == (1.0,)


def test_all_splits_of_a_party_use_those_of_its_training_images(tmp_path):
    folder = two_classes(tmp_path / "data", 24)
    cohort = open_cohort(folder, task_file(normalize="own"), tmp_path / "state")
    own = measure_pixels(cohort.train)
    parts = (cohort.train, cohort.validation, cohort.test)
    assert [part.pixel_statistics for part in parts] == [own, own, own]
    plain = open_cohort(folder, task_file(), tmp_path / "state")
    assert plain.train.pixel_statistics is None
    assert plain.contract_hash == cohort.contract_hash
