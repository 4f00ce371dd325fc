"""The ledger: whatever is done to it afterwards is found, and a kill harms nothing."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcore.audit.entry import Head
from fedcore.audit.ledger import Ledger, story, verify
from fedcore.audit.signing import SigningKey
from fedcore.errors import InputError, LedgerBroken

KEY = SigningKey.generate(random.Random(1).randbytes)
OTHER = SigningKey.generate(random.Random(2).randbytes)
APPENDER = """
import random, sys, time
from pathlib import Path
from fedcore.audit.ledger import Ledger
from fedcore.audit.signing import SigningKey
key = SigningKey.generate(random.Random(1).randbytes)
ledger = Ledger(Path(sys.argv[1]), key, time.time)
for number in range(int(sys.argv[3])):
    ledger.append("sent", {"writer": sys.argv[2], "number": number})
    print(number, flush=True)
"""


def opened(path: Path, start: float = 1_700_000_000.0) -> Ledger:
    ticks = itertools.count()
    return Ledger(path, KEY, lambda: start + next(ticks))


def filled(path: Path, count: int = 6) -> tuple[list[bytes], Head]:
    ledger = opened(path)
    for number in range(count):
        ledger.append("update_sent", {"round": number, "bytes": 10 * number})
    return [entry.line for entry in ledger.entries()], ledger.head()


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> tuple[list[bytes], Head]:
    return filled(tmp_path_factory.mktemp("ledger") / "ledger.jsonl")


def broken_at(lines: list[bytes], head: Head | None = None) -> int:
    with pytest.raises(LedgerBroken) as broken:
        verify(lines, KEY.public, head)
    assert str(broken.value.index) in str(broken.value)
    return broken.value.index


@given(index=st.integers(0, 5), place=st.integers(min_value=0), byte=st.integers(1, 255))
def test_any_changed_byte_is_found_at_its_entry(sound, index, place, byte):
    lines = list(sound[0])
    changed = bytearray(lines[index])
    changed[place % len(changed)] ^= byte
    lines[index] = bytes(changed)
    assert broken_at(lines) == index


@given(place=st.integers(min_value=0), byte=st.integers(1, 255))
def test_any_changed_byte_of_the_file_is_found(sound, tmp_path_factory, place, byte):
    content = bytearray(b"".join(line + b"\n" for line in sound[0][:3]))
    place %= len(content) - 1
    content[place] ^= byte
    path = tmp_path_factory.mktemp("changed") / "ledger.jsonl"
    path.write_bytes(content)
    with pytest.raises(LedgerBroken) as broken:
        verify(path, KEY.public)
    assert broken.value.index == bytes(content[:place]).count(b"\n")


@given(index=st.integers(0, 4))
def test_a_dropped_entry_is_found(sound, index):
    lines = sound[0][:index] + sound[0][index + 1 :]
    assert broken_at(lines) == index


@given(pair=st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda pair: pair[0] < pair[1]))
def test_swapped_entries_are_found_at_the_first(sound, pair):
    lines = list(sound[0])
    lines[pair[0]], lines[pair[1]] = lines[pair[1]], lines[pair[0]]
    assert broken_at(lines) == pair[0]


@given(index=st.integers(0, 5), to=st.integers(0, 6))
def test_a_doubled_entry_is_found_where_it_stands(sound, index, to):
    lines = list(sound[0])
    lines.insert(to, lines[index])
    assert broken_at(lines) == (to if to != index else index + 1)


@given(length=st.integers(0, 5))
def test_a_cut_tail_is_found_with_a_known_head(sound, length):
    assert broken_at(sound[0][:length], sound[1]) == length


def test_a_ledger_written_anew_with_the_same_key_is_found_with_a_known_head(sound, tmp_path):
    ledger = opened(tmp_path / "anew.jsonl")
    for number in range(9):
        ledger.append("update_sent", {"round": number, "bytes": 0})
    assert broken_at([entry.line for entry in ledger.entries()], sound[1]) == 5


def test_a_ledger_of_another_key_is_found(sound):
    with pytest.raises(LedgerBroken) as broken:
        verify(sound[0], OTHER.public)
    assert broken.value.index == 0


def test_a_changed_file_is_not_opened_and_not_continued(tmp_path):
    path = tmp_path / "ledger.jsonl"
    filled(path)
    path.write_bytes(path.read_bytes().replace(b'"round":2', b'"round":9'))
    with pytest.raises(LedgerBroken) as broken:
        opened(path)
    assert broken.value.index == 2


def test_a_file_that_shrinks_under_an_open_ledger_is_found(tmp_path):
    path = tmp_path / "ledger.jsonl"
    ledger = opened(path)
    ledger.append("joined", {})
    path.write_bytes(b"")
    with pytest.raises(LedgerBroken, match="shorter"):
        ledger.append("left", {})


@pytest.mark.parametrize("kind", ["", "Upper", "with space", "1st", "x" * 65])
def test_a_kind_is_a_plain_word(tmp_path, kind):
    with pytest.raises(ValueError, match="kind"):
        opened(tmp_path / "ledger.jsonl").append(kind, {})


@pytest.mark.parametrize("subject", [{"x": float("nan")}, {"x": "y" * 20_000}])
def test_a_subject_is_small_and_plain(tmp_path, subject):
    ledger = opened(tmp_path / "ledger.jsonl")
    with pytest.raises(ValueError, match=r"."):
        ledger.append("sent", subject)
    assert ledger.entries() == []


def test_a_place_that_cannot_be_written_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="ledger fails"):
        opened(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        verify(tmp_path / "none", KEY.public)


@given(cut=st.integers(min_value=0))
def test_a_torn_last_line_is_set_aside_and_the_chain_goes_on(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("torn") / "ledger.jsonl"
    lines, _ = filled(path, 2)
    cut = cut % (len(lines[1]) - 1) + 1
    path.write_bytes(lines[0] + b"\n" + lines[1][:cut])
    with pytest.raises(LedgerBroken) as broken:
        verify(path, KEY.public)
    assert broken.value.index == 1
    opened(path).append("went_on", {})
    assert story(verify(path, KEY.public)) == [
        ("update_sent", {"round": 0, "bytes": 0}),
        ("went_on", {}),
    ]
    assert path.with_name("ledger.jsonl.torn").read_bytes() == lines[1][:cut] + b"\n"


def test_an_entry_that_lacks_only_its_newline_is_kept(tmp_path):
    path = tmp_path / "ledger.jsonl"
    lines, head = filled(path, 2)
    path.write_bytes(b"\n".join(lines))
    ledger = opened(path)
    assert ledger.head() == head
    ledger.append("went_on", {})
    assert len(verify(path, KEY.public, head)) == 3


def test_a_writer_killed_while_appending_leaves_all_that_it_reported(tmp_path):
    path = tmp_path / "ledger.jsonl"
    command = [sys.executable, "-c", APPENDER, str(path), "killed", "1000000"]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    reported = [int(writer.stdout.readline()) for _ in range(40)]
    writer.kill()
    writer.wait()
    writer.stdout.close()
    ledger = opened(path)
    ledger.append("went_on", {})
    numbers = [entry.subject["number"] for entry in ledger.entries()[:-1]]
    assert numbers[: len(reported)] == reported == list(range(40))
    verify(path, KEY.public, ledger.head())


def test_two_processes_share_one_chain(tmp_path):
    path = tmp_path / "ledger.jsonl"
    mine = opened(path)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", APPENDER, str(path), name, "30"], stdout=subprocess.DEVNULL
        )
        for name in "ab"
    ]
    for number in range(30):
        mine.append("sent", {"writer": "mine", "number": number})
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    entries = verify(path, KEY.public, mine.head())
    for name in ("a", "b", "mine"):
        numbers = [e.subject["number"] for e in entries if e.subject["writer"] == name]
        assert numbers == list(range(30))


def test_threads_share_one_ledger(tmp_path):
    ledger = opened(tmp_path / "ledger.jsonl")
    threads = [
        threading.Thread(target=lambda: [ledger.append("sent", {}) for _ in range(20)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(verify(ledger.path, KEY.public, ledger.head())) == 80


def test_a_repeated_step_is_entered_once_also_after_a_restart(tmp_path):
    path = tmp_path / "ledger.jsonl"
    first = opened(path).append_once("update_sent", {"round": 1, "parts": (1, 2)})
    again = opened(path, start=1_800_000_000.0).append_once(
        "update_sent", {"parts": [1, 2], "round": 1}
    )
    assert again == first
    opened(path).append_once("update_sent", {"round": 2, "parts": [1, 2]})
    assert len(verify(path, KEY.public)) == 2


def test_two_trainings_tell_the_same_story_at_other_times(tmp_path):
    ledgers = [opened(tmp_path / "a.jsonl"), opened(tmp_path / "b.jsonl", start=1_800_000_000.0)]
    for ledger in ledgers:
        ledger.append("joined", {"run": "r1"})
        ledger.append("update_sent", {"round": 1, "norm": 0.5})
    assert ledgers[0].story() == ledgers[1].story()
    assert ledgers[0].head() != ledgers[1].head()


def test_an_empty_ledger_has_no_head_and_a_person_can_read_an_entry(tmp_path):
    ledger = opened(tmp_path / "deep" / "ledger.jsonl")
    assert ledger.head() == Head(-1, "0" * 64)
    assert verify(ledger.path, KEY.public, ledger.head()) == []
    line = ledger.append("update_sent", {"round": 3, "bytes": 12}).describe()
    assert line == "#0 2023-11-14T22:13:20.000+00:00 update_sent bytes=12 round=3"


def test_a_part_a_kind_and_a_head_are_found_and_those_of_other_writers_too(tmp_path):
    path = tmp_path / "ledger.jsonl"
    ours, theirs = opened(path), opened(path)
    for number in range(4):
        (ours if number % 2 else theirs).append("even" if number % 2 == 0 else "odd", {"n": number})

    assert [entry.subject["n"] for entry in ours.of_kind("even")] == [0, 2]
    assert ours.of_kind("never") == []
    assert ours.entries(3) == ours.entries()[3:]
    assert ours.entries(9) == []
    assert all(ours.holds(entry.head) for entry in theirs.entries())
    assert ours.holds(Head(-1, ""))
    assert not ours.holds(Head(1, ours.head().hash))
    assert not ours.holds(Head(4, ours.head().hash))


@pytest.mark.parametrize(("lasting", "each"), [(True, 1), (False, 0)])
def test_what_need_not_last_stands_in_the_file_at_once_and_on_the_disk_when_flushed(
    lasting: bool, each: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, flushed = tmp_path / "ledger.jsonl", []
    ledger = Ledger(path, KEY, lambda: 1_700_000_000.0, lasting=lasting)
    ledger.append("sent", {"number": 0})
    monkeypatch.setattr("os.fsync", flushed.append)
    for number in range(1, 4):
        ledger.append("sent", {"number": number})
    assert len(flushed) == 3 * each
    assert story(verify(path, KEY.public)) == [("sent", {"number": one}) for one in range(4)]
    ledger.flush()
    assert len(flushed) == 3 * each + 2  # the file, and its name in the folder
