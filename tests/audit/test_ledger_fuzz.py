"""Laws of the ledger: any edit is found at its first entry, and no bytes raise anything else."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcore.audit.entry import Entry
from fedcore.audit.ledger import Ledger, verify
from fedcore.audit.signing import SigningKey
from fedcore.errors import LedgerBroken, Refused

KEY = SigningKey.generate(random.Random(1).randbytes)
OTHER = SigningKey.generate(random.Random(2).randbytes)
COUNT = 8


def written(path: Path, count: int = COUNT, key: SigningKey = KEY) -> list[bytes]:
    ticks = itertools.count()
    ledger = Ledger(path, key, lambda: 1_700_000_000.0 + next(ticks))
    for number in range(count):
        ledger.append("left", {"object": "update", "round": number, "size": 10 * number})
    return [entry.line for entry in ledger.entries()]


@pytest.fixture(scope="module")
def lines(tmp_path_factory) -> list[bytes]:
    return written(tmp_path_factory.mktemp("ledger") / "ledger.jsonl")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory) -> list[bytes]:
    return written(tmp_path_factory.mktemp("foreign") / "ledger.jsonl", key=OTHER)


def change(kept: list[bytes], place: int, byte: int) -> None:
    index, within = place % len(kept), place // len(kept)
    body = bytearray(kept[index])
    if body:
        body[within % len(body)] ^= byte
    kept[index] = bytes(body)


EDITS = {
    "change": change,
    "drop": lambda kept, place, _: kept.pop(place % len(kept)),
    "swap": lambda kept, place, other: kept.insert(other % len(kept), kept.pop(place % len(kept))),
    "double": lambda kept, place, other: kept.insert(
        other % (len(kept) + 1), kept[place % len(kept)]
    ),
    "cut a line": lambda kept, place, other: kept.__setitem__(
        place % len(kept), kept[place % len(kept)][: other % 60]
    ),
    "empty line": lambda kept, place, _: kept.insert(place % (len(kept) + 1), b""),
    "cut the tail": lambda kept, place, _: kept.__delitem__(slice(place % len(kept), None)),
}
edits = st.lists(
    st.tuples(st.sampled_from(sorted(EDITS)), st.integers(0, 10**4), st.integers(1, 255)),
    min_size=1,
    max_size=4,
)


@given(edits=edits)
@settings(max_examples=300)
def test_any_edits_are_found_at_the_first_entry_that_is_not_the_old_one(lines, edits):
    kept = list(lines)
    for name, place, other in edits:
        if kept:
            EDITS[name](kept, place, other)
    head = Entry.read(lines[-1]).head
    if kept[: len(lines)] == lines and len(kept) == len(lines):
        assert len(verify(kept, KEY.public, head)) == COUNT
        return
    first = next(
        (index for index, pair in enumerate(zip(kept, lines, strict=False)) if pair[0] != pair[1]),
        min(len(kept), len(lines)),
    )
    with pytest.raises(LedgerBroken) as broken:
        verify(kept, KEY.public, head)
    assert broken.value.index == first
    assert f"entry {first} " in str(broken.value)


@given(index=st.integers(0, COUNT - 1))
def test_an_entry_of_another_key_is_found_even_where_it_fits_otherwise(lines, foreign, index):
    kept = [*lines[:index], foreign[index], *lines[index + 1 :]]
    with pytest.raises(LedgerBroken) as broken:
        verify(kept, KEY.public)
    assert broken.value.index == index


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
like_entries = st.fixed_dictionaries(
    {
        "at": json_values,
        "index": json_values,
        "kind": json_values,
        "previous": json_values,
        "signature": json_values,
        "subject": json_values,
    }
).map(lambda one: json.dumps(one, sort_keys=True, separators=(",", ":")).encode())
odd_lines = st.one_of(
    st.binary(max_size=80),
    like_entries,
    st.sampled_from([b"[" * 9000, b'{"a":' * 3000, b"1" * 6000, b'"\\ud800"', b"{}", b"\xff\xfe"]),
)


def read_or_reason(line: bytes) -> Entry | str:
    try:
        return Entry.read(line)
    except Refused as refused:
        return refused.reason


def whole_or_broken(action):
    """What `action` gives, or the index at which the ledger is broken."""
    try:
        return action()
    except LedgerBroken as broken:
        return broken.index


@given(line=odd_lines)
@settings(max_examples=300)
def test_reading_an_entry_raises_nothing_but_refused(line):
    entry = read_or_reason(line)
    if isinstance(entry, str):
        assert entry == "not_an_entry"
    else:
        assert entry.line == line
        assert entry.describe()


@given(before=st.integers(0, 3), odd=st.lists(odd_lines, max_size=3), torn=st.booleans())
@settings(max_examples=150)
def test_verifying_any_file_raises_nothing_but_ledger_broken(
    lines, tmp_path_factory, before, odd, torn
):
    path = tmp_path_factory.mktemp("fuzz") / "ledger.jsonl"
    path.write_bytes(b"\n".join([*lines[:before], *odd]) + (b"" if torn else b"\n"))
    entries = whole_or_broken(lambda: verify(path, KEY.public))
    if isinstance(entries, int):
        assert entries >= before
    else:
        assert len(entries) <= before


@given(before=st.integers(0, 3), odd=st.lists(odd_lines, max_size=3), torn=st.booleans())
@settings(max_examples=150)
def test_opening_any_file_raises_nothing_but_ledger_broken_and_keeps_what_is_whole(
    lines, tmp_path_factory, before, odd, torn
):
    path = tmp_path_factory.mktemp("fuzz") / "ledger.jsonl"
    path.write_bytes(b"\n".join([*lines[:before], *odd]) + (b"" if torn else b"\n"))
    ledger = whole_or_broken(lambda: Ledger(path, KEY, lambda: 0.0))
    if isinstance(ledger, int):
        assert ledger >= before
        return
    ledger.append("went_on", {})
    kept = [entry.line for entry in verify(path, KEY.public)][:-1]
    assert kept == lines[: len(kept)]


@given(ours=st.integers(0, COUNT), theirs=st.integers(0, COUNT))
def test_a_copy_extends_a_ledger_that_is_behind_and_leaves_one_that_is_ahead(
    lines, tmp_path_factory, ours, theirs
):
    path = tmp_path_factory.mktemp("copy") / "ledger.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines[:ours]))
    ledger = Ledger(path, KEY, lambda: 0.0)
    assert ledger.adopt(lines[:theirs]) == max(0, theirs - ours)
    assert [entry.line for entry in verify(path, KEY.public)] == lines[: max(ours, theirs)]
    assert [entry.line for entry in ledger.entries()] == lines[: max(ours, theirs)]


def test_a_copy_that_went_another_way_is_not_taken_over(lines, tmp_path):
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines[:3]))
    ledger = Ledger(path, KEY, lambda: 5.0)
    ledger.append("left", {"object": "update", "round": 99})
    before = path.read_bytes()
    for copy, index in ((lines, 3), (lines[:2] + lines[3:], 2)):
        with pytest.raises(LedgerBroken) as broken:
            ledger.adopt(copy)
        assert broken.value.index == index
    assert path.read_bytes() == before
