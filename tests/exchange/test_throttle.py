"""The hours and the rate of transfers: laws, and what a store does with them."""

from __future__ import annotations

import datetime
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcore.config.policy import Transfer
from fedcore.exchange.folder import FolderStore
from fedcore.exchange.throttle import DAY, SMALL, Rate, Throttle, opens_in, second_of_day

minutes = st.integers(0, 24 * 60 - 1)
windows = st.tuples(minutes, minutes).filter(lambda pair: pair[0] != pair[1])
seconds = st.floats(0, DAY, exclude_max=True)


class Time:
    """A clock that moves when somebody waits, and by itself a little."""

    def __init__(self, now: float = 0.0) -> None:
        self.now, self.waits = now, []

    def pause(self, length: float) -> None:
        assert length > 0
        self.waits.append(length)
        self.now += length

    def clock(self) -> float:
        return self.now


@given(window=windows, second=seconds)
def test_a_window_and_its_complement_share_the_day(window, second):
    begin, end = window
    assert (opens_in(window, second) == 0) != (opens_in((end, begin), second) == 0)


@given(window=windows, second=seconds)
def test_after_the_said_wait_the_window_is_open_and_not_before(window, second):
    wait = opens_in(window, second)
    assert 0 <= wait < DAY
    if wait:
        assert opens_in(window, window[0] * 60.0) == 0
        assert (second + wait) % DAY == pytest.approx(window[0] * 60.0, abs=1e-6)
        assert opens_in(window, (second + wait / 2) % DAY) > 0


def test_a_window_over_midnight():
    night = Transfer(window="22:00-06:00").minutes
    hours = {hour: opens_in(night, hour * 3600.0) for hour in range(24)}
    assert [hour for hour, wait in hours.items() if wait == 0] == [0, 1, 2, 3, 4, 5, 22, 23]
    assert hours[6] == 16 * 3600


def test_the_second_of_the_day_is_that_of_this_machines_clock(monkeypatch):
    moment = datetime.datetime(2026, 11, 22, 23, 30, 15, tzinfo=datetime.UTC).timestamp()
    for zone, expected in (("UTC", 23.5 * 3600 + 15), ("UTC-2", 1.5 * 3600 + 15)):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        assert second_of_day(moment) == expected
    monkeypatch.undo()
    time.tzset()


@given(
    limit=st.floats(1.0, 1e9),
    blocks=st.lists(st.tuples(st.integers(1, 1 << 24), st.floats(0, 100)), min_size=1, max_size=30),
)
def test_no_more_than_the_limit_passes_and_nobody_starves(limit, blocks):
    time_ = Time()
    rate = Rate(limit, time_.clock, time_.pause)
    passed = 0.0
    for amount, idle in blocks:
        time_.now += idle
        before = time_.now
        rate(amount)
        passed += amount
        assert passed <= limit * time_.now * (1 + 1e-9)
        assert time_.now - before <= amount / limit * (1 + 1e-9) + 1e-6


def test_without_a_limit_nothing_waits():
    time_ = Time()
    for amount in (1, 1 << 40):
        Rate(None, time_.clock, time_.pause)(amount)
    assert time_.waits == []


def test_a_slow_line_is_given_small_blocks():
    assert Throttle().block(1 << 20) == 1 << 20
    assert Throttle(bytes_per_second=40_000).block(1 << 20) == 10_000
    assert Throttle(bytes_per_second=10).block(1 << 20) == 1024


def test_a_large_object_waits_for_the_window_says_so_and_a_small_one_leaves(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    noon = Time(12 * 3600.0)
    heard: list[str] = []
    throttle = Throttle(
        (22 * 60, 6 * 60), clock=noon.clock, pause=noon.pause, wall=noon.clock, say=heard.append
    )
    store = FolderStore(tmp_path, throttle=throttle)
    store.put_once("parties/1/hello.json", b"x" * SMALL)
    assert noon.now == 12 * 3600
    (tmp_path / "body").write_bytes(b"x" * (SMALL + 1))
    store.put_file_once("parties/1/update", tmp_path / "body")
    assert noon.now == pytest.approx(22 * 3600)
    assert "parties/1/update waits until 22:00, for 10 h 0 min" in heard[0]
    assert len(heard) == 10  # once an hour
    assert store.get("parties/1/update") == b"x" * (SMALL + 1)
    store.put_once("parties/1/initial", b"y" * (SMALL + 1))
    assert noon.now == pytest.approx(22 * 3600)
    monkeypatch.undo()
    time.tzset()


def test_a_folder_keeps_to_the_rate_in_both_directions(tmp_path):
    time_ = Time()
    throttle = Throttle(None, 1_000_000, clock=time_.clock, pause=time_.pause)
    store = FolderStore(tmp_path / "exchange", throttle=throttle)
    store.prepare()
    (tmp_path / "body").write_bytes(b"x" * 3_000_000)
    store.put_file_once("a/b", tmp_path / "body")
    assert time_.now == pytest.approx(3.0)
    store.get_to_file("a/b", tmp_path / "copy")
    assert time_.now == pytest.approx(6.0)
