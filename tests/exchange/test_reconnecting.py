"""Only an unreachable exchange is waited for."""

from __future__ import annotations

import pytest

from fedcore.errors import Conflict, NotThere
from fedcore.exchange.folder import FolderStore
from fedcore.exchange.reconnecting import Reconnecting


class GivenUp(Exception):
    pass


def test_other_errors_pass_at_once(tmp_path):
    store = FolderStore(tmp_path)
    store.put_once("a/b", b"x")
    patient = _patient(store, [], pauses=0)
    with pytest.raises(Conflict):
        patient.put_once("a/b", b"y")
    with pytest.raises(NotThere):
        patient.get("a/c")


def test_it_waits_tells_and_goes_on_when_the_folder_is_back(tmp_path):
    root = tmp_path / "mount"
    heard: list[tuple[str, float]] = []
    patient = _patient(FolderStore(root), heard, pauses=3, then=root.mkdir)
    patient.put_once("a/b", b"x")
    assert patient.get("a/b") == b"x"
    assert [seconds for _, seconds in heard] == [0.0, 5.0, 10.0]
    assert "mount" in heard[0][0]


def test_the_pause_may_end_the_waiting(tmp_path):
    with pytest.raises(GivenUp):
        _patient(FolderStore(tmp_path / "never"), [], pauses=0).keys("a/")


def test_every_method_is_passed_on(tmp_path):
    patient = _patient(FolderStore(tmp_path / "exchange"), [], pauses=0)
    patient.prepare()
    (tmp_path / "file").write_bytes(b"body")
    patient.put_file_once("a/b", tmp_path / "file")
    patient.get_to_file("a/b", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"body"
    assert (patient.size("a/b"), patient.exists("a/c")) == (4, False)
    assert (patient.get_range("a/b", 1, 2), patient.keys()) == (b"od", ["a/b"])


def _patient(store, heard, pauses, then=lambda: None):
    """Counts its own time: a pause takes the interval; after `pauses` of them `then` is done."""
    taken: list[float] = []

    def pause(seconds: float) -> None:
        if pauses == 0:
            raise GivenUp
        taken.append(seconds)
        if len(taken) == pauses:
            then()

    return Reconnecting(
        store, 5.0, lambda message, seconds: heard.append((message, seconds)), pause,
        clock=lambda: sum(taken),
    )  # fmt: skip
