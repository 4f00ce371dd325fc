"""Laws of the model of a round's time: more of anything never makes a round shorter."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parent))

from scale_model import (
    Constants,
    Setting,
    group_size,
    one_machine,
    one_process,
    predicted,
    prefect,
)

COSTS = st.floats(0, 1)
KNOWN = st.builds(Constants, **dict.fromkeys(Constants.__dataclass_fields__, COSTS))
SETTINGS = st.builds(
    Setting,
    parties=st.integers(1, 10_000),
    megabytes=st.floats(0.1, 1000),
    bandwidth=st.floats(1, 10_000),
    hub=st.floats(10, 100_000),
    update=st.floats(0.01, 2),
    training=st.floats(0, 1000),
    exchange=st.integers(1, 64),
    coordinator=st.integers(1, 64),
    servers=st.integers(1, 64),
    group=st.just(0) | st.integers(2, 200),
)
NOTHING = Constants(**dict.fromkeys(Constants.__dataclass_fields__, 0.0))
SLACK = 1 + 1e-9


@settings(max_examples=200, deadline=None)
@given(SETTINGS, KNOWN, st.integers(1, 1000), st.floats(1, 10))
def test_more_parties_larger_models_and_thinner_lines_never_make_a_round_shorter(
    setting: Setting, known: Constants, parties: int, factor: float
):
    now = predicted(setting, known).seconds
    harder = [
        replace(setting, parties=setting.parties + parties),
        replace(setting, megabytes=setting.megabytes * factor),
        replace(setting, bandwidth=setting.bandwidth / factor),
        replace(setting, hospitals=(setting.hospitals or setting.parties) + parties),
    ]
    assert all(predicted(one, known).seconds * SLACK >= now for one in harder)


@settings(max_examples=200, deadline=None)
@given(SETTINGS, KNOWN, st.integers(1, 1000), st.floats(1, 10))
def test_more_parties_and_larger_models_never_cost_fewer_cpu_seconds(
    setting: Setting, known: Constants, parties: int, factor: float
):
    few, seconds = one_process(setting.parties, setting.megabytes, known)
    more, longer = one_process(setting.parties + parties, setting.megabytes * factor, known)
    assert more * SLACK >= few
    assert longer * SLACK >= seconds


def test_a_thin_line_takes_a_party_the_time_of_its_bytes_one_after_the_other():
    known = replace(NOTHING, put=0.01)
    work, seconds = one_process(4, 10, known, line=80)
    assert work == 4 * 10 * 0.01 + 0.1  # and the model
    assert seconds == 4 * 1 + 1 + 0.1  # 10 MB up at 10 MB/s each, and once down


def test_what_is_asked_by_the_clock_makes_a_round_longer_that_it_then_costs_more():
    known = replace(NOTHING, party=1.0, service=0.5)
    kinds, seconds = one_machine(2, 10, known, 1)
    assert seconds == (2 * 1.0 + 1.0) / (1 - 0.5)  # 1.0: half a pause at four times
    assert kinds == {"exchange": 0, "sessions": 2, "coordinator": 0, "Prefect": 0.5 * seconds}


def test_more_hospitals_than_prefect_can_answer_are_never_done():
    known = replace(NOTHING, poll=0.01)
    one = Setting(parties=100, megabytes=1, bandwidth=100)
    assert math.isfinite(prefect(one, known))
    assert math.isinf(prefect(replace(one, hospitals=1000), known))
    assert math.isfinite(prefect(replace(one, hospitals=1000, servers=10), known))


def test_a_round_takes_what_its_steps_take_worked_by_hand():
    known = replace(NOTHING, put=0.01, viewed=0.0015, hash=0.0005, add=0.001, publish=0.1)
    flat = predicted(Setting(parties=8, megabytes=10, bandwidth=80, training=5), known)
    assert dict(flat.steps) == {
        "training": 5,
        "packing": 0,
        "down": 1,  # 10 MB at 10 MB/s
        "up": 1,  # the line is slower than 8 x 10 MB x 0.01 s on two cores
        "combining": 8 * 10 * 0.002 + 1,
        "replies": 0,
        "noticing": 2,
    }
    assert flat.first == "hospital's line"


def test_a_leaf_of_the_default_size_reads_as_much_as_the_top():
    for parties in (8, 50, 200, 1000, 10_000):
        size = group_size(parties)
        assert abs(size - 2 * parties / size) <= 2
