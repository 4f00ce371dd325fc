"""Uploads in parts, by property: whatever is cut, killed or replaced, the object is one file's."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parts_story import Bucket, Killed, parts_of

from fedcore.errors import ExchangeError, InputError, Unreachable
from fedcore.exchange import s3_parts
from fedcore.exchange.s3_answers import TimedOut
from fedcore.exchange.s3_notes import Beside, Unwritten, note_path
from fedcore.exchange.s3_parts import Upload, tag_of
from fedcore.exchange.sources import InMemory, open_file, pieces


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(s3_parts, "parts_of", parts_of)


def send(bucket: Bucket, path: Path, key: str = "key") -> None:
    with open_file(path) as source:
        Upload(bucket, "place", key, source, Beside(path)).run()


def fail(bucket: Bucket, path: Path, number: int, *, after: bool = False) -> None:
    """A sender that is killed at its call of that number."""
    bucket.fault = (len(bucket.asked) + number, after, Killed())
    with pytest.raises(Killed):
        send(bucket, path)
    bucket.fault = None
    bucket.asked.clear()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "file"
    made.write_bytes(b"0123456789")
    return made


@pytest.mark.parametrize("plain", [True, False], ids=["md5", "encrypted"])
@pytest.mark.parametrize("listing", [True, False], ids=["may-list", "may-not-list"])
def test_the_same_file_sends_no_part_twice_whatever_the_tags_are(path, plain, listing):
    bucket = Bucket(plain=plain, listing=listing)
    fail(bucket, path, 5)
    send(bucket, path)
    assert [name for name in bucket.asked if name.startswith("send")] == ["send 3"]
    assert bucket.objects["key"] == b"0123456789"
    assert list(path.parent.iterdir()) == [path]


def replaced(path: Path, body: bytes) -> None:
    new = path.with_name("new")
    new.write_bytes(body)
    new.replace(path)


def overwritten(path: Path, body: bytes) -> None:
    stamp = path.stat().st_mtime_ns
    path.write_bytes(body)
    while path.stat().st_mtime_ns == stamp:  # two writes within one tick of the clock
        path.write_bytes(body)


def with_its_old_times(path: Path, body: bytes) -> None:
    """As a copy that keeps the times of what it copies."""
    before = path.stat()
    overwritten(path, body)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [replaced, overwritten, with_its_old_times])
@pytest.mark.parametrize("plain", [True, False], ids=["md5", "encrypted"])
@pytest.mark.parametrize("listing", [True, False], ids=["may-list", "may-not-list"])
def test_another_file_of_the_same_name_is_never_completed_from_old_parts(
    path, change, plain, listing
):
    bucket = Bucket(plain=plain, listing=listing)
    fail(bucket, path, 5)
    change(path, b"0123abcdef")
    send(bucket, path)
    assert bucket.objects["key"] == b"0123abcdef"
    sent = [name for name in bucket.asked if name.startswith("send")]
    same = plain and listing  # only then can an old part be known for the new one
    assert sent == (["send 2", "send 3"] if same else ["send 1", "send 2", "send 3"])


def test_a_file_that_changes_while_it_is_sent_is_sent_as_it_is_then(path):
    bucket = Bucket()

    def change() -> None:
        if bucket.asked[-1] == "send 2":
            bucket.on_call = lambda: None
            overwritten(path, b"abcdefghij")

    bucket.on_call = change
    send(bucket, path)
    assert bucket.objects["key"] == b"abcdefghij"
    assert bucket.uploads == {}


def test_a_file_that_is_replaced_while_it_is_sent_is_sent_as_it_was(path):
    bucket = Bucket()
    bucket.on_call = lambda: bucket.asked[-1] == "send 2" and replaced(path, b"abcdefghij")
    send(bucket, path)
    assert bucket.objects["key"] == b"0123456789"
    assert bucket.asked == ["head", "begin", "send 1", "send 2", "send 3", "complete"]


def test_a_file_that_grows_while_it_is_sent_is_the_callers_problem(path):
    bucket = Bucket()
    bucket.on_call = lambda: bucket.asked[-1] == "send 2" and path.write_bytes(b"more than it was")
    with pytest.raises(InputError, match="its length changed while it was sent"):
        send(bucket, path)
    assert bucket.objects == {}


def test_a_file_that_changes_all_the_time_is_given_back_to_the_caller(path):
    bucket = Bucket()
    numbers = itertools.count(10)
    bucket.on_call = lambda: overwritten(path, f"{next(numbers)}234567{next(numbers)}".encode())
    with pytest.raises(Unreachable, match="its file changed, again and again"):
        send(bucket, path)
    assert bucket.objects == {}


def test_a_note_that_cannot_be_written_is_made_good_by_a_look_at_the_bucket(path, monkeypatch):
    bucket = Bucket()
    monkeypatch.setattr(Beside, "begin", lambda *_: False)
    monkeypatch.setattr(Beside, "add", lambda *_: None)
    fail(bucket, path, 6)
    send(bucket, path)
    assert [name for name in bucket.asked if name.startswith("send")] == ["send 3"]
    assert bucket.uploads == {}


def dying_at(bucket: Bucket, call: str) -> Callable[[], None]:
    def act() -> None:
        if bucket.asked[-1].startswith(call):
            raise Killed

    return act


@pytest.mark.parametrize("plain", [True, False], ids=["md5", "encrypted"])
def test_a_sender_of_the_old_file_notes_nothing_for_the_new_one(path, plain):
    """Two senders write into one note and one upload, and both are killed."""
    bucket = Bucket(plain=plain)

    def meanwhile() -> None:
        if bucket.asked[-1] == "send 2":
            replaced(path, b"abcdefghij")
            bucket.on_call = dying_at(bucket, "send")
            with pytest.raises(Killed):
                send(bucket, path)
            bucket.on_call = dying_at(bucket, "complete")

    bucket.on_call = meanwhile
    with pytest.raises(Killed):
        send(bucket, path)
    bucket.on_call = lambda: None
    send(bucket, path)
    assert bucket.objects["key"] == b"abcdefghij"


def test_a_note_that_is_torn_anywhere_still_leads_to_its_upload(path):
    bucket = Bucket()
    fail(bucket, path, 5)
    note = note_path(path).read_bytes()
    upload = dict(next(iter(bucket.uploads.values())))
    for end in range(0, len(note) + 1, 3):
        bucket.objects, bucket.uploads = {}, {"key#001": dict(upload)}
        note_path(path).write_bytes(note[:end])
        bucket.asked.clear()
        send(bucket, path)
        assert [name for name in bucket.asked if name.startswith("send")] == ["send 3"]
        assert (bucket.objects, bucket.uploads) == ({"key": b"0123456789"}, {})


def test_the_upload_of_a_file_that_is_gone_is_given_up_by_the_next_one(path):
    bucket = Bucket()
    fail(bucket, path, 2, after=True)  # before the upload's name could be noted
    other = path.with_name("other")
    path.rename(other)
    send(bucket, other, "other")
    assert (bucket.uploads, list(other.parent.iterdir())) == ({}, [other])


@settings(max_examples=50)
@given(
    tries=st.lists(
        st.tuples(
            st.integers(1, 12),
            st.booleans(),
            st.sampled_from([Killed(), Unreachable("cut"), TimedOut("stalled")]),
            st.sampled_from([b"0123456789", b"0123abcdef", b"abcd456789"]),
            st.sampled_from([replaced, overwritten, with_its_old_times]),
        ),
        max_size=6,
    ),
    plain=st.booleans(),
    listing=st.booleans(),
)
def test_whatever_is_cut_killed_or_replaced_the_object_is_one_whole_file(tries, plain, listing):
    bucket = Bucket(plain=plain, listing=listing)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        for number, after, fault, body, change in tries:
            if not path.exists() or path.read_bytes() != body:
                path.touch()
                change(path, body)
            bucket.fault = (len(bucket.asked) + number, after, fault)
            with contextlib.suppress(Killed, ExchangeError):
                send(bucket, path)
            if "key" in bucket.objects:
                assert bucket.objects["key"] == body
                return
        bucket.fault = None
        replaced(path, b"the end...")
        send(bucket, path)
        assert bucket.objects["key"] == b"the end..."
        assert not note_path(path).exists()
        if listing:
            assert bucket.uploads == {}


def test_a_body_in_memory_leaves_no_upload_when_it_fails():
    for number, fault in itertools.product(range(2, 7), [Killed(), Unreachable("cut")]):
        bucket = Bucket()
        bucket.fault = (number, False, fault)
        source, book = InMemory(b"0123456789"), Unwritten()
        if number == 2 and isinstance(fault, Unreachable):  # its beginning, which is looked for
            Upload(bucket, "place", "key", source, book).run()
            assert bucket.objects["key"] == b"0123456789"
        else:
            with pytest.raises(type(fault)):
                Upload(bucket, "place", "key", source, book).run()
            assert bucket.objects == {}
        assert (bucket.uploads, book.upload) == ({}, "")


def test_a_body_in_memory_goes_on_where_its_upload_could_not_be_given_up():
    bucket, book = Bucket(), Unwritten()
    bucket.fault = (4, False, TimedOut("stalled"))
    with pytest.raises(TimedOut):
        Upload(bucket, "place", "key", InMemory(b"0123456789"), book).run()
    assert list(bucket.uploads) == [book.upload]
    bucket.fault = None
    bucket.asked.clear()
    Upload(bucket, "place", "key", InMemory(b"0123abcdef"), Unwritten(book.upload)).run()
    assert [name for name in bucket.asked if name.startswith("send")] == ["send 2", "send 3"]
    assert (bucket.objects, bucket.uploads) == ({"key": b"0123abcdef"}, {})


def test_a_source_is_read_in_pieces_without_copies():
    body = bytes(range(256)) * 10_000
    source = InMemory(memoryview(body))
    assert b"".join(pieces(source)) == body
    assert b"".join(pieces(source, 100, 2_000_000)) == body[100:2_000_100]
    assert source.read_at(5, 10).obj is body
    assert tag_of(InMemory(b"abc")) == f"{_md5(bytes.fromhex(_md5(b'abc')))}-1"


def _md5(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()
