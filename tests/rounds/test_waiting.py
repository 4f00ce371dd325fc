"""How often somebody who waits looks: seldom, never late by much, and never past a deadline."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rounds_story import Time

from fedcore.rounds.waiting import FINE, GROWTH, LONGEST_PAUSE, LONGEST_SLEEP, SURE, Watch

SECONDS = st.floats(0.01, 2000.0)


def looks_until(watch: Watch, seconds: float, kind: str = "", until: float | None = None) -> int:
    """Wait for something that is there after so many seconds; how often it was looked for."""
    there, looks = watch.clock() + seconds, 0

    def probe() -> bool | None:
        nonlocal looks
        looks += 1
        return True if watch.clock() >= there else None

    watch.wait(probe, "a thing", until, kind=kind)
    return looks


@given(st.lists(SECONDS, min_size=1, max_size=6))
def test_nobody_hears_of_a_thing_later_than_half_a_second_or_what_was_sure(waits) -> None:
    time = Time()
    watch = time.watch()
    for seconds in waits:
        usual, begun = watch.rhythm.usual("a round"), time.now
        looks_until(watch, seconds, "a round")
        late = time.now - begun - seconds
        slept = min(usual * SURE, LONGEST_SLEEP) if seconds < usual * SURE else 0.0
        assert late <= max(LONGEST_PAUSE, slept) + 1e-6


@given(SECONDS, st.integers(2, 5))
def test_waits_that_take_what_they_took_before_need_few_looks(seconds, times) -> None:
    watch = Time().watch()
    for _ in range(2):
        looks_until(watch, seconds, "a round")
    for _ in range(times):
        left = seconds * (1.0 - SURE)
        most = 3 + seconds * SURE / LONGEST_SLEEP + max(left / LONGEST_PAUSE, 4.0)
        assert looks_until(watch, seconds, "a round") <= most + left / LONGEST_PAUSE


def test_of_equal_rounds_of_two_seconds_the_third_is_looked_at_half_as_often() -> None:
    watch = Time().watch()
    assert [looks_until(watch, 2.0, "a round") for _ in range(3)] == [12, 12, 7]


@given(SECONDS, SECONDS)
def test_how_long_the_first_took_says_nothing_of_the_second(first, second) -> None:
    """Processes start in it, and a cohort is read from its files."""
    time = Time()
    watch = time.watch()
    looks_until(watch, first, "a round")
    begun = time.now
    looks_until(watch, second, "a round")
    assert time.now - begun <= second + LONGEST_PAUSE + 1e-6


def test_who_has_slept_too_long_once_sleeps_less_from_then_on() -> None:
    time = Time()
    watch = time.watch()
    for _ in range(2):
        looks_until(watch, 4.0, "a round")
    late = []
    for _ in range(4):
        begun = time.now
        looks_until(watch, 1.0, "a round")
        late.append(time.now - begun - 1.0)
    assert late[0] > 1.5
    assert max(late[1:]) < 0.25


@given(SECONDS, SECONDS)
def test_a_deadline_is_not_slept_through(usual, left) -> None:
    time = Time()
    watch = time.watch()
    for _ in range(2):
        looks_until(watch, usual, "a round")
    begun = time.now
    looks_until(watch, 1e9, "a round", until=begun + left)
    assert left <= time.now - begun + 1e-6
    assert time.now - begun <= left + 0.05 + 1e-6


def test_waits_of_another_kind_or_of_none_are_looked_at_from_the_beginning() -> None:
    watch = Time().watch()
    fresh = looks_until(watch, 2.0)
    looks_until(watch, 2.0, "a round")
    assert looks_until(watch, 2.0, "another") == looks_until(watch, 2.0) == fresh


def test_one_short_wait_is_enough_to_look_early_again() -> None:
    time = Time()
    watch = time.watch()
    for seconds in (60.0, 60.0, 0.2):
        looks_until(watch, seconds, "a round")
    begun = time.now
    looks_until(watch, 1.0, "a round")
    assert time.now - begun <= 1.0 + max(0.05, 60.0 * FINE * GROWTH)
