"""Numbers and lists as a reader sees them."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcore.errors import amount, listing
from fedcore.explain.wording import duration, number, percent, ranges, size


def spelled_out(text: str) -> set[int]:
    spans = [part.split("-") for part in text.split(", ")] if text else []
    return {value for span in spans for value in range(int(span[0]), int(span[-1]) + 1)}


@given(st.sets(st.integers(1, 300)))
def test_ranges_say_exactly_the_rounds_they_were_given(numbers):
    assert spelled_out(ranges(numbers)) == numbers


@given(st.sets(st.integers(1, 300)))
def test_ranges_never_leave_neighbours_apart(numbers):
    ends = [part.split("-") for part in ranges(numbers).split(", ")] if numbers else []
    assert all(int(b[0]) - int(a[-1]) > 1 for a, b in itertools.pairwise(ends))


@pytest.mark.parametrize("unknown", [None, math.nan])
def test_unknown_numbers_are_a_dash(unknown):
    assert number(unknown) == percent(unknown) == "\N{EN DASH}"


def test_units_are_those_a_person_would_choose():
    assert [size(0), size(1023), size(1024), size(5 * 2**30)] == [
        "0 bytes",
        "1,023 bytes",
        "1.0 KiB",
        "5.0 GiB",
    ]
    assert [duration(8.2), duration(300), duration(7500)] == ["8 s", "5 min", "2 h 05 min"]
    assert [amount(1, "image"), amount(1650, "image"), amount(2, "party", "parties")] == [
        "1 image",
        "1,650 images",
        "2 parties",
    ]


def test_lists_read_as_a_sentence():
    assert [listing([]), listing(["a"]), listing(["a", "b"]), listing(["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
