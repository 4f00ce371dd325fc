"""Laws of the model of a round's time: more of anything never makes a round shorter."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parent))

from scale_model import Constants, Setting, group_size, one_machine, one_process, predicted

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
    api=st.floats(1, 1000),
    group=st.just(0) | st.integers(2, 200),
)
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
        replace(setting, api=setting.api / factor),
    ]
    assert all(predicted(one, known).seconds * SLACK >= now for one in harder)
    for whole in (one_process, one_machine):
        few = whole(setting.parties, setting.megabytes, known)
        assert whole(setting.parties + parties, setting.megabytes * factor, known) * SLACK >= few


def test_a_round_takes_what_its_steps_take_worked_by_hand():
    nothing = Constants(**dict.fromkeys(Constants.__dataclass_fields__, 0.0))
    known = replace(nothing, put=0.01, fetch=0.002, add=0.001, publish=0.1)
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
