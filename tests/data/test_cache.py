"""The cache: once decoded, never again; whole after kill -9; bounded; damage is found."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data_story import noise, picture, task_file, two_classes, write

from fedcore.data import intake
from fedcore.data.cache import PixelCache
from fedcore.data.cohort import open_cohort
from fedcore.data.shards import open_shard, write_shard
from fedcore.errors import DataError

ROOT = Path(__file__).resolve().parents[2]


def image(seed: int, shape=(1, 8, 8)) -> np.ndarray:
    return noise(seed, shape)


def filled(root: Path, keys: range, name="prep", limit=2**30) -> PixelCache:
    cache = PixelCache(root, name, limit)
    for key in keys:
        cache.add(str(key), image(key))
        cache.flush()
    return cache


def pixels(cache: PixelCache, key: str) -> np.ndarray:
    array, row = cache.locate(key)
    return array[row]


@pytest.fixture
def readings(monkeypatch):
    """Counts the files that are really read."""
    seen = []

    def counted(path, recipe):
        seen.append(path.name)
        return read(path, recipe)

    read = intake.read_file
    monkeypatch.setattr(intake, "read_file", counted)
    return seen


def test_a_damaged_image_counts_as_absent_and_its_neighbours_do_not(tmp_path):
    cache = PixelCache(tmp_path, "prep")
    for key in range(3):
        cache.add(str(key), image(key))
    cache.flush()
    (shard,) = tmp_path.glob("*/*.shard")
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    again = PixelCache(tmp_path, "prep")
    assert ["0" in again, "1" in again, "2" in again] == [True, True, False]
    again.add("2", image(2))
    again.flush()
    assert "2" in PixelCache(tmp_path, "prep")


@pytest.mark.parametrize("damage", [b"", b"rubbish", None])
def test_a_shard_that_is_no_shard_is_thrown_away(tmp_path, damage):
    filled(tmp_path, range(1))
    (shard,) = tmp_path.glob("*/*.shard")
    shard.write_bytes(shard.read_bytes()[:-5] if damage is None else damage)
    assert open_shard(shard) is None
    assert "0" not in PixelCache(tmp_path, "prep")
    assert not shard.exists()


def test_a_damaged_table_of_entries_is_found(tmp_path):
    path = write_shard(tmp_path, {"a": image(1)})
    path.write_bytes(path.read_bytes().replace(b'"a"', b'"b"'))
    assert open_shard(path) is None


def test_what_was_put_in_comes_out(tmp_path):
    filled(tmp_path, range(5))
    again = PixelCache(tmp_path, "prep")
    for key in range(5):
        assert str(key) in again
        assert np.array_equal(pixels(again, str(key)), image(key))
    assert "5" not in again


def test_two_writers_of_the_same_images_do_no_harm(tmp_path):
    first, second = PixelCache(tmp_path, "prep"), PixelCache(tmp_path, "prep")
    for cache in (first, second):
        for key in range(4):
            cache.add(str(key), image(key))
        cache.flush()
    again = PixelCache(tmp_path, "prep")
    assert all(np.array_equal(pixels(again, str(key)), image(key)) for key in range(4))


def test_the_longest_unused_other_preprocessing_makes_room_first(tmp_path):
    size = 4096 + 64
    filled(tmp_path, range(3), "old")
    filled(tmp_path, range(3), "newer")
    for age, name in ((10, "old"), (20, "newer")):
        for shard in (tmp_path / name).glob("*.shard"):
            os.utime(shard, (age, age))
    filled(tmp_path, range(4), "mine", limit=7 * size + 200)
    left = {name: len(list((tmp_path / name).glob("*.shard"))) for name in ("old", "newer", "mine")}
    assert left == {"old": 0, "newer": 3, "mine": 4}
    total = sum(path.stat().st_size for path in tmp_path.glob("*/*.shard"))
    assert total <= 7 * size + 200


def test_a_cohort_larger_than_the_bound_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(DataError, match="raise the bound"):
        filled(tmp_path, range(10), limit=20_000)


def test_a_full_disk_or_a_wrong_owner_is_said(tmp_path):
    cache = PixelCache(tmp_path, "prep")
    (tmp_path / "prep").rmdir()
    (tmp_path / "prep").write_text("in the way")
    cache.add("1", image(1))
    with pytest.raises(DataError, match="cannot be written"):
        cache.flush()


def test_a_file_is_decoded_once_and_again_only_when_it_changed(tmp_path, readings):
    folder = two_classes(tmp_path / "data", 12)
    first = open_cohort(folder, task_file(), tmp_path / "state")
    assert len(readings) == 12
    readings.clear()
    again = open_cohort(folder, task_file(), tmp_path / "state")
    assert readings == []
    assert again.contract_hash == first.contract_hash
    write(folder / "A" / "p002.png", picture(noise(99)))
    write(folder / "A" / "broken.png", b"\x89PNG\r\n\x1a\n")
    assert open_cohort(folder, task_file(), tmp_path / "state").contract_hash != first.contract_hash
    assert sorted(readings) == ["broken.png", "p002.png"]
    readings.clear()
    assert open_cohort(folder, task_file(), tmp_path / "state").quarantine == {"unreadable": 1}
    assert readings == []


def test_a_changed_preprocessing_is_decoded_anew(tmp_path, readings):
    folder = two_classes(tmp_path / "data", 12)
    open_cohort(folder, task_file(), tmp_path / "state")
    bigger = open_cohort(folder, task_file((1, 24, 24)), tmp_path / "state")
    assert len(readings) == 24
    assert bigger.train.batch(np.array([0])).shape == (1, 1, 24, 24)


def test_a_damaged_cache_and_index_are_rebuilt(tmp_path, readings):
    folder, state = two_classes(tmp_path / "data", 12), tmp_path / "state"
    first = open_cohort(folder, task_file(), state)
    (shard,) = state.glob("pixels/*/*.shard")
    content = bytearray(shard.read_bytes())
    content[-70] ^= 255
    shard.write_bytes(content)
    readings.clear()
    again = open_cohort(folder, task_file(), state)
    assert len(readings) == 1
    assert same_pixels(again, open_cohort(folder, task_file(), tmp_path / "other"))
    (state / "index.sqlite").write_bytes(b"no database at all" * 500)
    assert open_cohort(folder, task_file(), state).contract_hash == first.contract_hash


def test_kill_9_in_the_middle_of_writing_leaves_a_cache_that_goes_on(tmp_path):
    folder, state = two_classes(tmp_path / "data", 60), tmp_path / "state"
    script = (
        "import sys; from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[3]); import os, signal\n"
        "from data_story import task_file\n"
        "from fedcore.data import cache, cohort, shards\n"
        "cache._SHARD_IMAGES = 8\n"
        "replace = Path.rename\n"
        "done = []\n"
        "def killed(path, target):\n"
        "    done.append(1)\n"
        "    if len(done) == 4: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return replace(path, target)\n"
        "Path.rename = killed\n"
        "cohort.open_cohort(Path(sys.argv[1]), task_file(), Path(sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", script, str(folder), str(state), str(Path(__file__).parent)]
    ended = subprocess.run(command, cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(list(state.glob("pixels/*/*.tmp"))) == 1
    assert len(list(state.glob("pixels/*/*.shard"))) == 3
    after = open_cohort(folder, task_file(), state)
    fresh = open_cohort(folder, task_file(), tmp_path / "other")
    assert after.contract_hash == fresh.contract_hash
    assert same_pixels(after, fresh)
    assert not list(state.glob("pixels/*/*.tmp"))


def test_two_processes_on_one_folder_get_the_same(tmp_path):
    folder, state = two_classes(tmp_path / "data", 60), tmp_path / "state"
    script = (
        "import sys; from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[3]); from data_story import task_file\n"
        "from fedcore.data import cache, cohort\n"
        "cache._SHARD_IMAGES = 8\n"
        "found = cohort.open_cohort(Path(sys.argv[1]), task_file(), Path(sys.argv[2]))\n"
        "print(found.contract_hash)\n"
    )
    command = [sys.executable, "-c", script, str(folder), str(state), str(Path(__file__).parent)]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in "ab"]
    said = {process.communicate()[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert said == {open_cohort(folder, task_file(), state).contract_hash}


def same_pixels(one, other) -> bool:
    pairs = ((one.train, other.train), (one.validation, other.validation), (one.test, other.test))
    return all(
        np.array_equal(a.batch(np.arange(len(a))), b.batch(np.arange(len(b)))) for a, b in pairs
    )
