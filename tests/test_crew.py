"""Threads that share a sum: the same bits for any number of them, and none where none is needed."""

from __future__ import annotations

import gc
import threading
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcore.crew import BLOCK, GRAIN, Crew, cores_here
from fedcore.errors import Refused
from fedcore.params import Params, finite_norm
from fedcore.strategies import WeightedMean

SIZES = st.lists(st.integers(0, 5 * GRAIN), min_size=1, max_size=4)
# Cores, the numbers that are worth a thread, the most of a block: always at work with few numbers.
CREWS = st.builds(
    lambda cores, share, grains: partial(Crew, cores, share, grains * GRAIN),
    st.integers(1, 5),
    st.sampled_from([1, GRAIN]),
    st.integers(1, 3),
)


def update(sizes: list[int], seed: int = 0) -> Params:
    random = np.random.default_rng(seed)
    return {str(one): random.standard_normal(size, np.float32) for one, size in enumerate(sizes)}


def crew_threads() -> int:
    return sum(one.name.startswith("crew") for one in threading.enumerate())


def test_what_one_thread_raises_is_raised_once_all_have_stopped() -> None:
    at_work: list[int] = []

    def act(_: int, part: slice, __: object) -> None:
        at_work.append(part.start)
        if part.start == 2 * GRAIN:
            raise Refused("shape", "the third block")
        at_work.remove(part.start)

    with Crew(3, share=1, block=GRAIN) as crew, pytest.raises(Refused, match="third block"):
        crew.each_block([9 * GRAIN], act)
    assert at_work == [2 * GRAIN]
    assert crew_threads() == 0


@given(SIZES, CREWS)
def test_each_number_is_in_one_block_alone(sizes, crew) -> None:
    seen = [np.zeros(size, np.int64) for size in sizes]

    def act(place: int, part: slice, room: np.ndarray) -> None:
        assert part.start % GRAIN == 0
        assert len(room) == len(seen[place][part])
        seen[place][part] += 1

    with crew() as at_work:
        at_work.each_block(sizes, act)
    assert all((one == 1).all() for one in seen)


@given(SIZES, CREWS)
def test_sums_have_the_same_bits_for_any_number_of_threads_and_any_blocks(sizes, crew) -> None:
    alone, together = WeightedMean(partial(Crew, 1)), WeightedMean(crew)
    for seed in (1, 2):
        alone.add(update(sizes, seed), 3.0, 0.7)
        together.add(update(sizes, seed), 3.0, 0.7)
    theirs = together.result()
    for name, array in alone.result().items():
        assert array.tobytes() == theirs[name].tobytes()


@given(SIZES, CREWS)
def test_a_norm_has_the_same_bits_for_any_number_of_threads_and_any_blocks(sizes, crew) -> None:
    params = update(sizes)
    expected = sum(
        sum(
            float(np.dot(piece, piece))
            for piece in np.split(array.astype(np.float64), range(GRAIN, array.size, GRAIN))
        )
        for array in params.values()
    )
    assert finite_norm(params, "control/", crew) == expected**0.5


@given(SIZES.filter(any), CREWS, st.data())
def test_no_thread_overlooks_a_number_that_is_none(sizes, crew, data) -> None:
    params = update(sizes)
    name = data.draw(st.sampled_from([name for name in params if params[name].size]))
    params[name][data.draw(st.integers(0, params[name].size - 1))] = np.nan
    with pytest.raises(Refused, match=f"{name} holds NaN"):
        finite_norm(params, "control/", crew)


def test_small_arrays_stay_with_the_calling_thread() -> None:
    mean = WeightedMean(partial(Crew, 4))
    mean.add(update([1000, 0, 3000]), 1.0)
    assert crew_threads() == 0


def test_threads_end_with_the_mean_that_had_them() -> None:
    mean = WeightedMean(partial(Crew, 3))
    mean.add(update([2 * BLOCK]), 1.0)
    assert crew_threads() == 2
    threads = [one for one in threading.enumerate() if one.name.startswith("crew")]
    del mean
    gc.collect()
    for one in threads:
        one.join(timeout=60)
    assert crew_threads() == 0


def test_there_is_a_core_and_never_more_than_help() -> None:
    assert 1 <= cores_here() <= 8
