"""What every store promises: the same suite runs against each of them."""

from __future__ import annotations

import hashlib
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedcore.errors import Conflict, InputError, NotThere
from fedcore.exchange.removed import MOST, Removal

ABUSED = ["", "/", "a//b", "/a", "a/", ".", "..", "a/../b", "a/.b", "a b", "ä", "a\n", "a" * 513]
SHARED_STORE = settings(
    max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("key", ABUSED)
def test_a_malformed_key_is_refused_before_anything_happens(store, key):
    for act in (store.get, store.exists, store.size, lambda key: store.put_once(key, b"x")):
        with pytest.raises(InputError, match="key"):
            act(key)
    assert store.keys() == []


def test_what_is_not_there_is_said_to_be_not_there(store, tmp_path):
    assert not store.exists("a/b")
    for act in (
        store.get,
        store.view,
        store.size,
        lambda key: store.get_range(key, 0, 1),
        lambda key: store.get_range(key, 0, 0),
        lambda key: store.get_to_file(key, tmp_path / "copy"),
    ):
        with pytest.raises(NotThere, match="a/b"):
            act("a/b")
    assert not (tmp_path / "copy").exists()
    assert list(tmp_path.glob(".part-*")) == []


def test_other_bytes_are_a_conflict_and_change_nothing(store, tmp_path):
    store.put_once("a/b", b"first")
    (tmp_path / "other").write_bytes(b"third")
    for act in (
        lambda: store.put_once("a/b", b"second"),
        lambda: store.put_once("a/b", b"fitsr"),
        lambda: store.put_once("a/b", b""),
        lambda: store.put_file_once("a/b", tmp_path / "other"),
    ):
        with pytest.raises(Conflict, match="a/b"):
            act()
    assert store.get("a/b") == b"first"


def test_the_same_bytes_again_are_a_quiet_success(store, tmp_path):
    (tmp_path / "same").write_bytes(b"first")
    store.put_once("a/b", b"first")
    store.put_once("a/b", memoryview(b"first"))
    store.put_once("a/b", memoryview(bytearray(b"first")))
    store.put_file_once("a/b", tmp_path / "same")
    assert store.get("a/b") == b"first"


def test_a_local_file_that_is_missing_is_the_callers_problem(store, tmp_path):
    with pytest.raises(InputError, match="missing"):
        store.put_file_once("a/b", tmp_path / "missing")
    assert not store.exists("a/b")


def test_a_local_place_that_cannot_be_written_is_the_callers_problem(store, tmp_path):
    store.put_once("a/b", b"body")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be written"):
        store.get_to_file("a/b", tmp_path / "file" / "copy")


def test_of_racing_writers_exactly_one_wins(store):
    start = threading.Barrier(8)

    def write(body: bytes) -> bool:
        start.wait()
        try:
            store.put_once("race/one", body)
        except Conflict:
            return False
        return True

    bodies = [bytes([number]) * 100_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(write, bodies))
    assert sum(won) == 1
    assert store.get("race/one") == bodies[won.index(True)]


def test_racing_writers_of_the_same_bytes_all_succeed(store):
    start = threading.Barrier(8)

    def write(_: int) -> None:
        start.wait()
        store.put_once("race/same", b"same" * 50_000)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert store.get("race/same") == b"same" * 50_000


def test_ranges_are_cut_at_the_end(store):
    store.put_once("a/b", b"0123456789")
    store.put_once("a/empty", b"")
    assert store.get_range("a/b", 2, 3) == b"234"
    assert store.get_range("a/b", 8, 30) == b"89"
    assert store.get_range("a/b", 10, 1) == b""
    assert store.get_range("a/b", 99, 1) == b""
    assert store.get_range("a/b", 3, 0) == b""
    assert store.get_range("a/empty", 0, 5) == b""
    assert (store.size("a/b"), store.size("a/empty"), store.get("a/empty")) == (10, 0, b"")
    with pytest.raises(ValueError, match="negative"):
        store.get_range("a/b", -1, 2)


def test_listing_knows_every_order_trap(store):
    written = ["a-b/c", "a.c", "a/b/c", "a/b-1", "a/b.1", "a/z", "a0", "ab/c", "b/-c/d", "b/0/x"]
    for key in reversed(written):
        store.put_once(key, key.encode())
    assert store.keys() == sorted(written)
    probes = [*written, "a", "a/", "a/b", "a-", "0", "zz", "b/0"]
    for after in probes:
        for prefix in ("", "a", "a/", "a/b", "a/b/", "b/", "none/"):
            expected = sorted(key for key in written if key.startswith(prefix) and key > after)
            assert store.keys(prefix, after) == expected, (prefix, after)


@pytest.mark.parametrize("prefix", ["/", "../", "a//", ".", "a/.", "a b"])
def test_a_prefix_that_no_key_can_have_is_refused(store, prefix):
    with pytest.raises(InputError, match="prefix"):
        store.keys(prefix)


def test_a_body_goes_through_files_and_comes_back(store, tmp_path):
    body = random.Random(1).randbytes(3_000_000)
    (tmp_path / "large").write_bytes(body)
    store.put_file_once("large/body", tmp_path / "large")
    store.put_file_once("large/body", tmp_path / "large")
    told = store.get_to_file("large/body", tmp_path / "new" / "copy")
    copy = (tmp_path / "new" / "copy").read_bytes()
    assert told == hashlib.sha256(copy).hexdigest() == hashlib.sha256(body).hexdigest()
    assert store.get_range("large/body", 2_000_000, 1000) == body[2_000_000:2_001_000]
    (tmp_path / "large").write_bytes(body[:-1] + b"!" + body[-1:])
    with pytest.raises(Conflict):
        store.put_file_once("large/body", tmp_path / "large")
    (tmp_path / "large").write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
    with pytest.raises(Conflict):
        store.put_file_once("large/body", tmp_path / "large")


@SHARED_STORE
@given(body=st.binary(max_size=3000), start=st.integers(0, 3100), length=st.integers(0, 3100))
def test_any_bytes_come_back_whole_and_in_parts(store, body, start, length):
    key = f"any/{hashlib.sha256(body).hexdigest()}"
    store.put_once(key, body)
    assert store.get(key) == body
    view = store.view(key)
    assert view == body
    assert view.readonly
    assert store.get_range(key, start, length) == body[start : start + length]


def note_of(body: bytes) -> bytes:
    return Removal(hashlib.sha256(body).hexdigest(), len(body), "was removed by a test").note()


@pytest.mark.parametrize("size", [0, 300, 100_000, 9 << 20])
def test_what_is_removed_leaves_its_note_and_its_key_stays_taken(store, size, tmp_path):
    body = random.Random(size).randbytes(size)
    store.put_once("a/large", body)
    for _ in range(2):
        store.forget("a/large", note_of(body))
        assert store.get("a/large") == store.view("a/large") == note_of(body)
        assert (store.exists("a/large"), store.size("a/large")) == (True, len(note_of(body)))
    assert store.keys() == ["a/large"]
    (tmp_path / "same").write_bytes(body)
    store.put_once("a/large", body)
    store.put_file_once("a/large", tmp_path / "same")
    (tmp_path / "other").write_bytes(body + b"!")
    with pytest.raises(Conflict):
        store.put_once("a/large", body + b"!")
    with pytest.raises(Conflict):
        store.put_file_once("a/large", tmp_path / "other")
    with pytest.raises(Conflict):
        store.put_once("a/large", b"small")
    assert store.get("a/large") == note_of(body)


def test_what_is_not_there_cannot_be_removed_and_is_not_made_by_it(store):
    store.put_once("a/b", b"body")
    with pytest.raises(NotThere, match="a/c"):
        store.forget("a/c", note_of(b"body"))
    with pytest.raises(InputError):
        store.forget("../b", note_of(b"body"))
    assert store.keys() == ["a/b"]


def test_writers_that_race_a_removal_write_nothing(store):
    body, start = b"body" * 25_000, threading.Barrier(4)
    store.put_once("a/b", body)

    def act(number: int) -> bool:
        start.wait()
        try:
            if number == 0:
                store.forget("a/b", note_of(body))
            else:
                store.put_once("a/b", body if number == 1 else bytes([number]) * 100_000)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(act, range(4))) == [True, True, False, False]
    assert store.get("a/b") == note_of(body)


def test_only_a_note_reads_as_one():
    removal = Removal("0" * 64, 12, "was removed")
    assert Removal.read(removal.note()) == removal
    assert Removal.read(memoryview(removal.note())) == removal
    for odd in (b"", b"{}", removal.note()[:-9], b" " + removal.note(), removal.note() + b"x"):
        assert Removal.read(odd) is None
    assert Removal.read(removal.note().ljust(MOST + 1)) is None
    with pytest.raises(ValueError, match="are the most"):
        Removal("0" * 64, 12, "x" * MOST).note()
