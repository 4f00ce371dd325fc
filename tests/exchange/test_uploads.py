"""Large bodies up bad lines: slow, cut, stalled, killed; a real server behind a proxy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from transfer_story import BODY, MIB, SENDER, killed_in_the_second_part

from fedcore.errors import Conflict, FedcoreError, InputError, NotThere, Unreachable
from fedcore.exchange.reconnecting import Reconnecting
from fedcore.exchange.s3 import S3Store
from fedcore.exchange.s3_answers import TimedOut
from fedcore.exchange.s3_notes import note_path
from fedcore.exchange.s3_parts import MOST_PARTS, PART, parts_of
from fedcore.exchange.throttle import Throttle

pytestmark = pytest.mark.servers
PARTS = "PUT .*partNumber"
PLAIN_BOTO = """
import os, sys, boto3
from botocore.config import Config
config = Config(connect_timeout=2, read_timeout=2, retries={"total_max_attempts": 1},
                request_checksum_calculation="when_required", s3={"addressing_style": "path"})
client = boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1", config=config)
client.put_object(Bucket=sys.argv[2], Key="plain", Body=bytes(int(sys.argv[3])))
"""


def test_parts_grow_only_where_there_would_be_too_many():
    assert parts_of(PART - 1)[0].length == PART - 1
    assert len(parts_of(80_000_000_000)) <= MOST_PARTS
    assert parts_of(80_000_000_000)[0].length == PART
    for size in (PART, 3 * PART + 1, 90_000_000_000, 5 << 40):
        parts = parts_of(size)
        assert [part.number for part in parts] == list(range(1, len(parts) + 1))
        assert len(parts) <= MOST_PARTS
        assert sum(part.length for part in parts) == size
        assert {part.length for part in parts[:-1]} <= {parts[0].length}


def test_a_time_out_means_that_nothing_moves_not_that_it_takes_long(
    proxy, bucket, seaweedfs, direct, key
):
    """The library alone, with the same two seconds, gives up a body that is on its way."""
    size = 5 * MIB
    proxy.limit(MIB)
    plain = [sys.executable, "-c", PLAIN_BOTO, proxy.endpoint, bucket, str(size)]
    environ = {**os.environ, **seaweedfs.environ}
    failed = subprocess.run(plain, env=environ, capture_output=True, text=True, check=False)
    assert "timeout" in failed.stderr.splitlines()[-1].lower()
    begun = time.monotonic()
    S3Store(proxy.endpoint, bucket, seaweedfs.environ, stall=2.0).put_once(key, bytes(size))
    assert time.monotonic() - begun > 4.0
    assert direct.size(key) == size


def test_a_line_on_which_nothing_moves_is_given_up_and_tried_again(
    proxy, bucket, seaweedfs, direct, key
):
    behind = S3Store(proxy.endpoint, bucket, seaweedfs.environ, stall=0.5)
    behind.prepare()
    proxy.stall()
    with pytest.raises(TimedOut, match="no answer for k"):
        behind.put_once(key, bytes(3 * MIB))
    patient = Reconnecting(
        behind, 0.1, lambda *_: None, lambda _: proxy.mend(), clock=time.monotonic
    )
    proxy.stall()
    patient.put_once(key, bytes(3 * MIB))
    assert direct.get(key) == bytes(3 * MIB)
    assert patient.get(key) == bytes(3 * MIB)


def test_a_half_open_connection_is_given_up(proxy, bucket, seaweedfs, key):
    behind = S3Store(proxy.endpoint, bucket, seaweedfs.environ, stall=0.5)
    proxy.half_open()
    for act in (lambda: behind.get(key), lambda: behind.put_once(key, bytes(MIB))):
        with pytest.raises(TimedOut, match="see that the server runs"):
            act()


def test_each_part_is_tried_again_by_itself(proxy, behind, direct, large, key):
    proxy.cut_upload(3 * MIB, times=2, pattern=r"partNumber=2\b")
    proxy.answer(500, "InternalError", pattern=r"partNumber=3\b")
    behind.put_file_once(key, large)
    assert proxy.seen(r"partNumber=1\b") == 1
    assert proxy.seen(r"partNumber=2\b") == 3
    assert proxy.seen(r"partNumber=3\b") == 2
    assert direct.get(key) == BODY


@pytest.mark.parametrize("listing", [True, False], ids=["may-list", "may-not-list"])
def test_an_upload_goes_on_after_a_cut_without_sending_anything_twice(
    proxy, behind, direct, large, listing, key
):
    proxy.answer(403, "AccessDenied", times=0 if listing else 99, pattern="^GET .*upload(s|Id=)")
    proxy.answer(500, "InternalError", times=3, pattern=r"partNumber=2\b")
    with pytest.raises(Unreachable):
        behind.put_file_once(key, large)
    assert note_path(large).exists()
    before = proxy.seen(r"partNumber=1\b")
    behind.put_file_once(key, large)
    assert proxy.seen(r"partNumber=1\b") == before == 1
    assert direct.get(key) == BODY
    assert not note_path(large).exists()


def test_a_part_of_other_bytes_is_sent_again(proxy, behind, direct, large, key):
    proxy.answer(500, "InternalError", times=3, pattern=r"partNumber=3\b")
    with pytest.raises(Unreachable):
        behind.put_file_once(key, large)
    changed = BODY[:100] + b"?" + BODY[101:]
    large.write_bytes(changed)
    behind.put_file_once(key, large)
    assert (proxy.seen(r"partNumber=1\b"), proxy.seen(r"partNumber=2\b")) == (2, 1)
    assert direct.get(key) == changed


@pytest.mark.parametrize("spoilt", [b"", b"{", b"[1]", b'{"key": 5}'])
def test_a_torn_note_is_no_note(behind, direct, large, spoilt, key):
    note_path(large).write_bytes(spoilt)
    behind.put_file_once(key, large)
    assert direct.get(key) == BODY


def test_an_upload_that_was_ended_elsewhere_begins_anew(proxy, behind, direct, large, key):
    proxy.answer(500, "InternalError", times=3, pattern=r"partNumber=2\b")
    with pytest.raises(Unreachable):
        behind.put_file_once(key, large)
    last = json.loads(note_path(large).read_text().splitlines()[-1])
    other = json.dumps(last | {"upload": "0" * len(last["upload"])})
    note_path(large).write_text(note_path(large).read_text() + other)
    behind.put_file_once(key, large)
    assert direct.get(key) == BODY


def test_a_completion_whose_answer_is_lost_sends_no_part_again(proxy, behind, direct, large, key):
    proxy.lose_answer(pattern="^POST .*uploadId")
    behind.put_file_once(key, large)
    assert proxy.seen("^POST .*uploadId") == 2
    assert proxy.seen(PARTS) == 3
    assert direct.get(key) == BODY


def test_a_sender_killed_in_the_middle_goes_on_with_the_next_part(
    proxy, behind, bucket, seaweedfs, direct, large, key
):
    killed_in_the_second_part(SENDER, proxy, bucket, seaweedfs, large, key)
    assert not direct.exists(key)
    behind.put_file_once(key, large)
    assert proxy.seen(r"partNumber=1\b") == 1
    assert direct.get(key) == BODY


def test_a_finished_upload_leaves_nothing_and_is_not_sent_again(
    proxy, behind, large, seaweedfs, bucket, key
):
    abandoned = large.with_name("gone")
    abandoned.write_bytes(BODY)
    proxy.answer(500, "InternalError", times=3, pattern=r"partNumber=2\b")
    with pytest.raises(Unreachable):
        behind.put_file_once(f"{key}-gone", abandoned)
    abandoned.unlink()
    behind.put_file_once(key, large)
    assert [path.name for path in large.parent.iterdir()] == ["large"]
    sent = proxy.seen(PARTS)
    behind.put_file_once(key, large)
    assert proxy.seen(PARTS) == sent
    assert proxy.seen(f"GET .*{key}$") == 0  # nor fetched to be compared
    assert behind.get(key) == BODY
    large.write_bytes(BODY[:-1] + b"!")
    with pytest.raises(Conflict):
        behind.put_file_once(key, large)
    assert proxy.seen(PARTS) == sent


def test_two_senders_of_one_file_both_succeed(proxy, behind, seaweedfs, bucket, direct, large, key):
    other = S3Store(proxy.endpoint, bucket, seaweedfs.environ)
    faults: list[FedcoreError] = []

    def send(one: S3Store) -> None:
        try:
            one.put_file_once(key, large)
        except FedcoreError as fault:
            faults.append(fault)

    proxy.limit(40 * MIB)
    threads = [threading.Thread(target=send, args=(one,)) for one in (behind, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    assert direct.get(key) == BODY


def test_an_upload_and_a_download_keep_to_the_bandwidth(seaweedfs, bucket, large, tmp_path, key):
    behind = S3Store(
        seaweedfs.endpoint, bucket, seaweedfs.environ, Throttle(bytes_per_second=10 * MIB)
    )
    begun = time.monotonic()
    behind.put_file_once(key, large)
    assert time.monotonic() - begun >= len(BODY) / (10 * MIB)
    begun = time.monotonic()
    behind.get_to_file(key, tmp_path / "copy")
    assert time.monotonic() - begun >= len(BODY) / (10 * MIB)


def test_a_window_that_closes_lets_the_part_finish_and_then_waits(
    proxy, seaweedfs, bucket, large, key
):
    noon, waits = [100.0], []

    def pause(seconds: float) -> None:
        waits.append((seconds, proxy.seen(r"partNumber=1\b"), proxy.seen(r"partNumber=2\b")))
        noon[0] += seconds

    def wall() -> float:
        if proxy.seen(r"partNumber=1\b") and not waits:
            noon[0] = 3600.0 * 12 + 1  # it closes while the first part is under way
        return noon[0]

    midnight = time.localtime(0).tm_hour * 60
    throttle = Throttle((midnight, (midnight + 60) % 1440), wall=wall, pause=pause)
    S3Store(proxy.endpoint, bucket, seaweedfs.environ, throttle).put_file_once(key, large)
    assert waits[0][1:] == (1, 0)
    assert sum(seconds for seconds, *_ in waits) == pytest.approx(12 * 3600 - 1, abs=1)


def test_a_file_that_vanishes_is_the_callers_problem(behind, tmp_path, key):
    with pytest.raises(InputError, match="gone"):
        behind.put_file_once(key, tmp_path / "gone")
    with pytest.raises(NotThere):
        behind.get_to_file("a/none", tmp_path / "copy")
    assert list(Path(tmp_path).glob(".*")) == []
