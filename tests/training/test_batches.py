"""Which image is in which batch: every one once, in an order that follows from the seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcore.data.images import ArrayImages
from fedcore.errors import DataError
from fedcore.training.batches import Feed, draws, require_usable
from fedcore.training.hardware import Hardware
from fedcore.training.plan import batch_bounds, plan_for
from fedcore.training.reproducible import derive_seed


@given(images=st.integers(0, 500), size=st.integers(1, 80))
def test_every_image_is_in_one_batch_and_none_is_left_alone(images, size):
    bounds = batch_bounds(images, size)
    assert [place for start, end in bounds for place in range(start, end)] == list(range(images))
    lengths = [end - start for start, end in bounds]
    assert all(1 <= length <= size + 1 for length in lengths)
    if images > 1 and size > 1:
        assert min(lengths) > 1


def indices(plan, images, party="9999", number=1):
    return np.concatenate([draw.indices for draw in draws(plan, images, party, number)]).tolist()


def test_each_pass_sees_every_image_once_in_an_order_of_its_own(make_task):
    plan = plan_for(make_task(local_epochs=2, batch_size=4))
    order = indices(plan, 11)
    assert sorted(order[:11]) == sorted(order[11:]) == list(range(11))
    assert order[:11] != order[11:]


def test_order_follows_seed_party_and_round_and_nothing_else(make_task):
    plan = plan_for(make_task(batch_size=4))
    assert indices(plan, 20) == indices(plan, 20)
    others = [
        indices(plan_for(make_task(batch_size=4, seed=1)), 20),
        indices(plan, 20, party="10000"),
        indices(plan, 20, number=2),
    ]
    assert all(other != indices(plan, 20) for other in others)


def test_derived_seeds_are_the_same_on_every_machine():
    assert derive_seed(7, "order", "9999", 1, 0) == 1460720935186338904
    assert derive_seed(1, "1", 1) != derive_seed(1, "11")


@pytest.mark.parametrize("steps", [1, 3, 8])
def test_local_steps_are_exactly_that_many_through_as_many_passes_as_needed(make_task, steps):
    plan = plan_for(make_task(local_steps=steps, local_epochs=9, batch_size=4))
    assert len(list(draws(plan, 10, "1", 1))) == plan.steps_per_round(10) == steps


def test_mirroring_turns_the_drawn_images_left_to_right_and_only_those(make_task, make_images):
    images = make_images(30)
    plan = plan_for(make_task(augment="flip", batch_size=30, normalize="none"))
    (draw,) = draws(plan, 30, "1", 1)
    batch, labels = Feed(images, plan, Hardware()).batch(draw)
    plain = images.pixels[draw.indices].astype(np.float32) / 255
    assert 5 < draw.mirrored.sum() < 25
    np.testing.assert_array_equal(batch[draw.mirrored], plain[draw.mirrored][..., ::-1])
    np.testing.assert_array_equal(batch[~draw.mirrored], plain[~draw.mirrored])
    np.testing.assert_array_equal(labels, images.labels[draw.indices])


def test_pixels_are_normalised_per_channel(make_task, make_images):
    images = make_images(4, channels=3)
    plan = plan_for(make_task(size=(3, 16, 16), batch_size=4))
    (draw,) = draws(plan, 4, "1", 1)
    batch, _ = Feed(images, plan, Hardware(channels_last=True)).batch(draw)
    mean, std = (
        np.array(part).reshape(1, 3, 1, 1)
        for part in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    wanted = (images.pixels[draw.indices] / 255 - mean) / std
    np.testing.assert_allclose(batch, wanted, rtol=1e-5, atol=1e-6)


def pixels(amount=2, channels=1):
    return np.zeros((amount, channels, 16, 16), dtype=np.uint8)


@pytest.mark.parametrize(
    ("images", "complaint"),
    [
        (ArrayImages(pixels(0), np.zeros(0, np.int64), 0), "there is no image"),
        (ArrayImages(pixels(channels=3), np.zeros(2, np.int64), 2), "images are"),
        (ArrayImages(pixels(), np.array([0, 2]), 2), "class number 2"),
        (ArrayImages(pixels(), np.array([-1, 1]), 2), "class number -1"),
    ],
)
def test_a_set_that_does_not_fit_the_task_is_refused(make_task, images, complaint):
    with pytest.raises(DataError, match=complaint):
        require_usable(images, plan_for(make_task()))
