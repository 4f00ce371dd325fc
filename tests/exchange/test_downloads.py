"""Large bodies down bad lines: what a cut, a kill or a full disk left is gone on with."""

from __future__ import annotations

import hashlib
import json
import resource
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from transfer_story import BODY, FETCHER, MIB, child

from fedcore.errors import NoRoom
from fedcore.exchange.reconnecting import Reconnecting

pytestmark = pytest.mark.servers
SHA256 = hashlib.sha256(BODY).hexdigest()


def test_a_download_goes_on_where_it_was_cut(proxy, behind, direct, large, tmp_path, key):
    direct.put_file_once(key, large)
    for after in (5 * MIB, 4 * MIB, 3 * MIB):
        proxy.truncate(after, pattern=f"^GET .*{key}")
    down = proxy.passed["down"]
    assert behind.get(key) == BODY
    assert proxy.passed["down"] - down < len(BODY) + MIB
    proxy.truncate(9 * MIB, pattern=f"^GET .*{key}")
    assert behind.get_range(key, 100, 12 * MIB) == BODY[100 : 100 + 12 * MIB]


def test_a_fetcher_killed_in_the_middle_goes_on_from_its_file(
    proxy, behind, bucket, seaweedfs, direct, large, tmp_path, key
):
    direct.put_file_once(key, large)
    copy = tmp_path / "copy"
    proxy.limit(8 * MIB)
    fetcher = child(FETCHER, proxy, bucket, seaweedfs, copy, key)
    proxy.wait_until_passed("down", 6 * MIB)
    fetcher.send_signal(signal.SIGKILL)
    fetcher.wait()
    proxy.mend()
    assert not copy.exists()
    begun = (tmp_path / ".copy.partial").stat().st_size
    assert begun >= 3 * MIB
    down = proxy.passed["down"]
    assert behind.get_to_file(key, copy) == SHA256
    assert proxy.passed["down"] - down < len(BODY) - begun + MIB
    assert copy.read_bytes() == BODY
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.parametrize("spoil", ["etag", "source", "longer", "torn"])
def test_the_beginning_of_another_object_is_not_gone_on_with(
    behind, direct, large, tmp_path, spoil, key
):
    direct.put_file_once(key, large)
    copy, part, note = (tmp_path / name for name in ("copy", ".copy.partial", ".copy.partial.json"))
    known = {"source": f"{behind._place}/{key}", "etag": '"x"', "size": len(BODY)}
    part.write_bytes(b"other bytes" * (2_000_000 if spoil == "longer" else 1))
    if spoil in ("longer", "source"):
        known["etag"] = direct._calls.head(key)[1]
    if spoil == "source":
        known["source"] = "exchange elsewhere"
    note.write_text(json.dumps(known)[: 9 if spoil == "torn" else None])
    assert behind.get_to_file(key, copy) == SHA256
    assert copy.read_bytes() == BODY
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_two_fetchers_into_one_file_do_not_disturb_each_other(
    proxy, behind, direct, large, tmp_path, key
):
    direct.put_file_once(key, large)
    proxy.limit(30 * MIB)
    with ThreadPoolExecutor(3) as pool:
        told = list(pool.map(lambda _: behind.get_to_file(key, tmp_path / "copy"), range(3)))
    assert told == [SHA256] * 3
    assert (tmp_path / "copy").read_bytes() == BODY
    assert list(tmp_path.glob(".*")) == []


def test_a_full_disk_under_a_download_is_one_sentence_and_goes_on_when_there_is_room(
    direct, large, tmp_path, key
):
    direct.put_file_once(key, large)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    heard: list[str] = []

    def make_room(_: float) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    resource.setrlimit(resource.RLIMIT_FSIZE, (5 * MIB, hard))
    try:
        with pytest.raises(NoRoom, match=r"copy: cannot be written .*: make room there"):
            direct.get_to_file(key, tmp_path / "copy")
        patient = Reconnecting(
            direct, 0.1, lambda reason, _: heard.append(reason), make_room, time.monotonic
        )
        patient.get_to_file(key, tmp_path / "copy")
    finally:
        make_room(0)
    assert (tmp_path / "copy").read_bytes() == BODY
    assert "cannot be written" in heard[0]
