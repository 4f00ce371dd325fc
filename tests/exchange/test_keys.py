"""The layout: owners first, numbers that sort, names that every store takes."""

from __future__ import annotations

import string
from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedcore.errors import InputError
from fedcore.exchange import keys

LETTERS = string.ascii_letters + string.digits + "._-"

COORDINATORS = [
    keys.agreement("r1"),
    *(make("r1", 7) for make in (keys.model, keys.invitation, keys.combined, keys.record)),
    keys.final_evaluation("r1"),
    keys.end("r1"),
]
PARTYS = [
    keys.hello("10000", "r1"),
    keys.initial("10000", "r1"),
    *(make("10000", "r1", 7) for make in (keys.update, keys.reply, keys.score)),
    keys.final_score("10000", "r1"),
]


def test_every_key_is_valid_and_stands_alone():
    together = [*COORDINATORS, *PARTYS]
    assert [keys.require_key(key) for key in together] == together
    assert len(set(together)) == len(together)


def test_the_owner_comes_first():
    assert all(key.startswith(keys.coordinator_folder("r1")) for key in COORDINATORS)
    assert all(key.startswith(keys.party_folder("10000", "r1")) for key in PARTYS)


@pytest.mark.parametrize("make", [keys.model, keys.record])
def test_numbers_sort_as_numbers(make):
    made = [make("r1", number) for number in (0, 2, 10, 99_999)]
    assert made == sorted(made)


def test_the_layout_is_the_agreed_one():
    assert keys.model("r1", 0) == "coordinator/r1/rounds/00000/model.safetensors"
    assert keys.reply("7", "r1", 12) == "parties/7/r1/rounds/00012/reply.json"


@given(st.text(max_size=40) | st.text("./ab_-", max_size=20))
@example("a/../b")
@example("..")
@example("a//b")
@example("a\n")
def test_any_text_is_a_key_that_stays_in_its_folder_or_is_refused(text):
    try:
        key = keys.require_key(text)
    except InputError:
        return
    assert key == text
    path = PurePosixPath("/folder") / key
    assert not path.is_absolute() or str(path) == f"/folder/{key}"
    assert not {"", ".", ".."} & set(key.split("/"))
    assert set(key) <= set(LETTERS + "/")


@given(st.lists(st.text(LETTERS, min_size=1, max_size=12), min_size=1, max_size=4))
def test_what_is_built_of_plain_names_is_a_key_unless_a_name_begins_with_a_dot(names):
    key = "/".join(names)
    if any(name.startswith(".") for name in names):
        with pytest.raises(InputError):
            keys.require_key(key)
    else:
        assert keys.require_key(key) == key
