"""The laws of splitting: by patient alone, for ever, in about the shares that were asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fedcore.data.splits import SPLITS, named_split, split_of

SHARES = st.tuples(st.floats(0, 0.44), st.floats(0, 0.44))


@given(patient=st.text(), shares=SHARES)
def test_a_patient_has_one_place_and_keeps_it(patient, shares):
    assert split_of(patient, *shares) in SPLITS
    assert split_of(patient, *shares) == split_of(patient, *shares)


@given(patient=st.text(), shares=SHARES)
def test_a_share_of_nothing_gets_nobody(patient, shares):
    assert split_of(patient, 0.0, 0.0) == "train"
    assert split_of(patient, shares[0], 0.0) != "test"
    assert split_of(patient, 0.0, shares[1]) != "validation"


@given(patient=st.text(), test=st.floats(0, 0.4), less=st.floats(0, 0.4), more=st.floats(0, 0.4))
def test_a_larger_validation_share_only_takes_from_training(patient, test, less, more):
    low, high = sorted((less, more))
    before, after = split_of(patient, low, test), split_of(patient, high, test)
    assert before == after or (before, after) == ("train", "validation")


def test_shares_are_met_over_many_patients():
    got = [split_of(f"patient {number}", 0.15, 0.15) for number in range(20_000)]
    assert abs(got.count("validation") / 20_000 - 0.15) < 0.01
    assert abs(got.count("test") / 20_000 - 0.15) < 0.01


def test_the_hash_is_pinned_so_that_no_release_moves_a_patient():
    got = [split_of(f"p{number}", 0.3, 0.3) for number in range(8)]
    assert "".join(name[0] for name in got) == PINNED


PINNED = "vtttvtvt"


def test_split_names_of_other_tools_are_known():
    assert named_split(" Val ") == "validation"
    assert named_split("TRAIN") == "train"
    assert named_split("holdout") is None
