"""Fetching into a file, by property: cuts, kills and replaced objects never mix two objects."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcore.errors import Unreachable
from fedcore.exchange.steady import UNNOTED, Changed, Opened, fetch_to_file

MIB = 1 << 20
SIZE = 3 * MIB + 7


class Killed(Exception):
    """The process is gone in the middle."""


class Line:
    """An object that may be replaced, over a line that breaks; `asked` are the places of GETs."""

    def __init__(self, letter: bytes = b"a", size: int = SIZE) -> None:
        self.body = letter * size
        self.fault: Exception | None = None
        self.after = 0
        self.asked: list[int] = []

    def open(self, start: int, etag: str | None) -> Opened:
        tag = hashlib.md5(self.body).hexdigest()
        self.asked.append(start)
        if etag is not None and tag != etag:
            raise Changed("replaced")
        return Opened(tag, len(self.body), self._chunks(start))

    def _chunks(self, start: int) -> Iterator[bytes]:
        for at in range(start, len(self.body), MIB):
            if self.fault is not None and at >= self.after:
                raise self.fault
            yield self.body[at : at + MIB]

    def fetch(self, target: Path, source: str = "here") -> str:
        return fetch_to_file(self.open, lambda _: None, target, source)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "copy"


def cut(line: Line, target: Path, fault: Exception, after: int = 2 * MIB) -> None:
    """A fetch that ends in the middle."""
    line.fault, line.after = fault, after
    with pytest.raises(type(fault)):
        line.fetch(target)
    line.fault = None


@pytest.mark.parametrize("fault", [Unreachable("cut"), Killed()])
def test_what_is_there_is_gone_on_with_and_counts_in_the_hash(target, fault):
    line = Line()
    cut(line, target, fault)
    line.asked.clear()
    assert line.fetch(target) == hashlib.sha256(line.body).hexdigest()
    assert line.asked == [2 * MIB]
    assert target.read_bytes() == line.body
    assert [path.name for path in target.parent.iterdir()] == ["copy"]


def test_a_replaced_object_is_fetched_from_its_beginning(target):
    line = Line()
    cut(line, target, Killed())
    line.body = b"b" * SIZE
    assert line.fetch(target) == hashlib.sha256(line.body).hexdigest()
    assert target.read_bytes() == line.body


def test_a_beginning_whose_note_is_lost_is_no_beginning(target):
    """As after a power cut: the note was never flushed."""
    line = Line()
    cut(line, target, Killed())
    target.with_name(".copy.partial.json").unlink()
    line.body = b"b" * SIZE
    assert line.fetch(target) == hashlib.sha256(line.body).hexdigest()
    assert target.read_bytes() == line.body


def test_an_object_of_one_piece_needs_no_note(target):
    line = Line(size=UNNOTED)
    cut(line, target, Killed(), after=0)
    assert list(target.parent.iterdir()) == []
    assert line.fetch(target) == hashlib.sha256(line.body).hexdigest()


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"a", b"b", b"c"]),
            st.sampled_from([MIB, SIZE, SIZE + 1]),
            st.sampled_from(["here", "there"]),
            st.integers(0, 4),
            st.sampled_from([Unreachable("cut"), Killed()]),
        ),
        max_size=5,
    )
)
def test_whatever_came_before_one_whole_object_arrives(tries):
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "copy"
        for letter, size, source, pieces, fault in tries:
            line = Line(letter, size)
            line.fault, line.after = fault, pieces * MIB
            try:
                told = line.fetch(target, source)
            except (Unreachable, Killed):
                continue
            assert target.read_bytes() == line.body
            assert told == hashlib.sha256(line.body).hexdigest()
        last = Line(b"d")
        assert last.fetch(target) == hashlib.sha256(last.body).hexdigest()
        assert target.read_bytes() == last.body
        assert [path.name for path in Path(folder).iterdir()] == ["copy"]
