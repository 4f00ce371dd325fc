"""What only a folder can get wrong: kills, leftovers, permissions, links, vanished mounts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fedcore.audit import durable
from fedcore.errors import Conflict, NotAllowed, NotThere, Unreachable
from fedcore.exchange.folder import FolderStore

PIPING_WRITER = """
import sys
from pathlib import Path
from fedcore.exchange.folder import FolderStore
FolderStore(Path(sys.argv[1])).put_file_once("a/b", Path(sys.argv[2]))
"""
LIMITED_WRITER = """
import resource, sys
from pathlib import Path
from fedcore.audit import durable
from fedcore.errors import Unreachable
from fedcore.exchange.folder import FolderStore
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    FolderStore(Path(sys.argv[1])).put_once("a/b", b"x" * 2_000_000)
except Unreachable as full:
    print(full)
"""
RACING_WRITER = """
import sys
from pathlib import Path
from fedcore.audit import durable
from fedcore.errors import Conflict
from fedcore.exchange.folder import FolderStore
store = FolderStore(Path(sys.argv[1]))
won = 0
sys.stdin.readline()
for number in range(50):
    try:
        store.put_once(f"race/{number}", sys.argv[2].encode() * 20000)
        won += 1
    except Conflict:
        pass
print(won)
"""


@pytest.fixture
def folder(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path / "exchange")
    store.prepare()
    return store


def test_a_missing_root_is_unreachable_and_is_not_made_in_passing(tmp_path):
    store = FolderStore(tmp_path / "unmounted")
    for act in (
        lambda: store.put_once("a/b", b"x"),
        lambda: store.get("a/b"),
        lambda: store.exists("a/b"),
        lambda: store.keys("a/"),
    ):
        with pytest.raises(Unreachable, match="unmounted"):
            act()
    assert not (tmp_path / "unmounted").exists()


def test_a_root_that_vanishes_is_unreachable_and_comes_back(folder, tmp_path):
    folder.put_once("a/b", b"x")
    (tmp_path / "exchange").rename(tmp_path / "away")
    with pytest.raises(Unreachable):
        folder.get("a/b")
    (tmp_path / "away").rename(tmp_path / "exchange")
    assert folder.get("a/b") == b"x"


def test_a_folder_that_may_not_be_written_is_not_allowed():
    with pytest.raises(NotAllowed, match="give this user the right"):
        FolderStore(Path("/sys")).put_once("fedcore/b", b"x")
    with pytest.raises(NotAllowed):
        FolderStore(Path("/sys/fedcore-exchange")).prepare()


def test_a_root_that_is_a_file_is_unreachable(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unreachable, match="Not a directory"):
        FolderStore(tmp_path / "file").put_once("a/b", b"x")


def test_a_disk_that_takes_no_more_is_unreachable_and_keeps_no_half_object(folder, tmp_path):
    root = tmp_path / "exchange"
    command = [sys.executable, "-c", LIMITED_WRITER, str(root)]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "File too large" in said.stdout
    assert list((root / "a").iterdir()) == []


@pytest.mark.parametrize(("first", "second"), [("a/b", "a/b/c"), ("a/b/c", "a/b")])
def test_a_name_cannot_be_an_object_and_a_folder(folder, first, second):
    folder.put_once(first, b"x")
    with pytest.raises(Conflict):
        folder.put_once(second, b"x")
    with pytest.raises(NotThere):
        folder.get(second)


def test_a_planted_link_or_pipe_is_no_object(folder, tmp_path):
    (tmp_path / "private").write_text("secret")
    (tmp_path / "exchange" / "a").mkdir()
    (tmp_path / "exchange" / "a" / "link").symlink_to(tmp_path / "private")
    os.mkfifo(tmp_path / "exchange" / "a" / "pipe")
    for key in ("a/link", "a/pipe", "a"):
        with pytest.raises(NotThere):
            folder.get(key)
        with pytest.raises(Conflict):
            folder.put_once(key, b"x")
    assert (tmp_path / "private").read_text() == "secret"


def test_a_writer_killed_in_the_middle_leaves_nothing_to_see(folder, tmp_path):
    root = tmp_path / "exchange"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = subprocess.Popen([sys.executable, "-c", PIPING_WRITER, str(root), str(pipe)])
    with pipe.open("wb") as body:
        body.write(b"x" * 3_000_000)
        writer.kill()
        writer.wait()
    (part,) = (root / "a").iterdir()
    assert folder.keys() == []
    with pytest.raises(NotThere):
        folder.get("a/b")
    folder.put_once("a/b", b"the next writer")
    assert folder.get("a/b") == b"the next writer"
    assert part.exists()
    hours_ago = part.stat().st_mtime - 7200
    os.utime(part, (hours_ago, hours_ago))
    folder.put_once("a/c", b"sweeps")
    assert sorted(path.name for path in (root / "a").iterdir()) == ["b", "c"]


def test_racing_processes_share_the_wins_without_a_double(folder, tmp_path):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", RACING_WRITER, str(tmp_path / "exchange"), letter],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for letter in "abc"
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    wins = [int(writer.communicate(timeout=60)[0]) for writer in writers]
    assert sum(wins) == 50
    bodies = [folder.get(f"race/{number}") for number in range(50)]
    assert {body in {letter.encode() * 20000 for letter in "abc"} for body in bodies} == {True}


def test_a_file_that_nobody_may_write_to_becomes_the_object_without_a_copy(folder, tmp_path):
    final = tmp_path / "final"
    durable.replace_and_hash(final, memoryview(b"first"))
    folder.put_file_once("a/b", final)
    assert (tmp_path / "exchange" / "a" / "b").samefile(final)
    durable.replace_and_hash(final, memoryview(b"second"))
    assert folder.get("a/b") == b"first"
    with pytest.raises(Conflict, match="a/b"):
        folder.put_file_once("a/b", final)
    assert folder.get("a/b") == b"first"


def test_a_file_that_somebody_may_change_is_copied(folder, tmp_path):
    (tmp_path / "open").write_bytes(b"first")
    folder.put_file_once("a/b", tmp_path / "open")
    (tmp_path / "open").write_bytes(b"second")
    assert folder.get("a/b") == b"first"


def test_hidden_and_foreign_files_are_not_listed(folder, tmp_path):
    folder.put_once("a/b", b"x")
    (tmp_path / "exchange" / "a" / ".DS_Store").write_bytes(b"")
    (tmp_path / "exchange" / "a" / "not a key").write_bytes(b"")
    assert folder.keys() == ["a/b"]


def test_objects_are_gone_when_the_folder_is_emptied(folder, tmp_path):
    folder.put_once("a/b", b"x")
    shutil.rmtree(tmp_path / "exchange" / "a")
    assert folder.keys() == []
    folder.put_once("a/b", b"y")
    assert folder.get("a/b") == b"y"


@pytest.mark.parametrize("lasting", [True, False])
def test_only_what_is_to_survive_a_power_cut_is_flushed_to_the_disk(lasting, tmp_path, monkeypatch):
    flushed, final = [], tmp_path / "final"
    final.write_bytes(b"body")
    final.chmod(durable.READ_ONLY)
    monkeypatch.setattr("os.fsync", flushed.append)
    store = FolderStore(tmp_path / "exchange", lasting=lasting)
    store.prepare()
    store.put_once("a/b", b"body")
    store.put_file_once("a/c", final)
    assert bool(flushed) == lasting
    assert store.get("a/b") == store.get("a/c") == b"body"
    with pytest.raises(Conflict):
        store.put_once("a/b", b"other")
