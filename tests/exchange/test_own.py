"""An exchange that is this process's own: what it frees, and what it never says."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedcore.errors import Conflict, NotThere
from fedcore.exchange.folder import FolderStore
from fedcore.exchange.memory import MemoryStore
from fedcore.exchange.store import ObjectStore

BODY = memoryview(b"an update")


@pytest.fixture(params=["memory", "folder"])
def forgetful(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    folder = FolderStore(tmp_path / "exchange", lasting=False, keeps=False)
    store = MemoryStore(keeps=False) if request.param == "memory" else folder
    store.prepare()
    return store


def test_what_is_forgotten_takes_no_room_and_its_key_stays_taken(forgetful):
    forgetful.own.put_hashed_once("a/b", BODY, "hash")
    forgetful.own.forget("a/b")
    assert forgetful.exists("a/b")
    assert forgetful.keys() == ["a/b"]
    assert forgetful.size("a/b") == 0
    assert forgetful.own.known("a/b") is None
    with pytest.raises(Conflict):
        forgetful.put_once("a/b", b"another update")


def test_forgetting_frees_the_bytes_under_both_names_of_a_file(tmp_path):
    store = FolderStore(tmp_path / "exchange", lasting=False, keeps=False)
    store.prepare()
    final = tmp_path / "final"
    final.write_bytes(BODY)
    final.chmod(0o444)
    store.own.put_hashed_file_once("a/b", final, "hash")
    held = (tmp_path / "exchange" / "a" / "b").open("rb")
    store.own.forget("a/b")
    assert final.stat().st_nlink == 1
    assert held.read() == BODY  # who has it open reads it to its end
    held.close()


def test_what_was_never_there_is_not_made_by_forgetting_it(forgetful):
    forgetful.own.forget("a/b")
    assert not forgetful.exists("a/b")
    with pytest.raises(NotThere):
        forgetful.own.known("a/b")


@pytest.mark.parametrize("kind", ["memory", "folder"])
def test_a_store_that_keeps_forgets_nothing(kind, tmp_path):
    folder = FolderStore(tmp_path / "exchange", lasting=False)
    store = MemoryStore() if kind == "memory" else folder
    store.prepare()
    store.own.put_hashed_once("a/b", BODY, "hash")
    store.own.forget("a/b")
    assert store.get("a/b") == BODY


def test_an_exchange_that_lasts_is_nobodys_own(tmp_path):
    assert FolderStore(tmp_path).own is None
