"""What an upload in parts asks of a real bucket, and what it leaves there: as little as can be."""

from __future__ import annotations

import re
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from transfer_story import BODY, MEMORY_SENDER, MIB, killed_in_the_second_part

from fedcore.errors import Conflict, Unreachable
from fedcore.exchange import s3_parts
from fedcore.exchange.s3 import S3Store
from fedcore.exchange.s3_notes import note_path

pytestmark = pytest.mark.servers
PARTS = "PUT .*partNumber"


def unwanted(*_: object) -> str:
    raise AssertionError("nobody needs this hash")


def test_a_fresh_upload_asks_for_nothing_but_its_parts(proxy, behind, large, monkeypatch, key):
    monkeypatch.setattr(s3_parts, "md5", unwanted)
    behind.put_file_once(key, large)
    asked = [re.sub(r"uploadId=[^&]*", "uploadId", str(one)) for one in proxy.requests]
    assert asked == [
        f"HEAD /transfers/{key}",
        f"POST /transfers/{key}?uploads",
        *(f"PUT /transfers/{key}?uploadId&partNumber={number}" for number in (1, 2, 3)),
        f"POST /transfers/{key}?uploadId",
    ]


@pytest.mark.parametrize("size", [MIB, 9 * MIB])
def test_the_server_spends_no_time_on_packing_a_body_that_could_be_packed(
    seaweedfs, direct, size, key
):
    before = seaweedfs.stored
    direct.put_once(key, bytes(size))
    assert seaweedfs.stored - before >= size
    assert direct.get(key) == bytes(size)


def test_an_unchanged_file_is_gone_on_with_without_a_hash(
    proxy, behind, direct, large, monkeypatch, key
):
    monkeypatch.setattr(s3_parts, "md5", unwanted)
    proxy.answer(500, "InternalError", times=3, pattern=r"partNumber=3\b")
    with pytest.raises(Unreachable):
        behind.put_file_once(key, large)
    behind.put_file_once(key, large)
    assert direct.get(key) == BODY


def test_an_upload_that_was_begun_and_not_yet_noted_is_found_in_the_bucket(
    proxy, behind, direct, large, key
):
    proxy.answer(500, "InternalError", times=3, pattern=r"partNumber=3\b")
    with pytest.raises(Unreachable):
        behind.put_file_once(key, large)
    note_path(large).write_text(note_path(large).read_text().splitlines()[0])
    behind.put_file_once(key, large)
    assert (proxy.seen("POST .*uploads"), proxy.seen(r"partNumber=1\b")) == (1, 1)
    assert direct.get(key) == BODY


def test_an_upload_whose_beginning_was_not_heard_of_is_found_and_gone_on_with(
    proxy, behind, direct, large, key
):
    proxy.lose_answer(pattern="^POST .*uploads")
    behind.put_file_once(key, large)
    assert (proxy.seen("^POST .*uploads"), proxy.seen(PARTS)) == (1, 3)
    assert direct.get(key) == BODY
    assert direct._calls.open_uploads(key) == []


def test_what_a_sender_killed_after_the_last_byte_left_is_cleared_away(
    proxy, behind, direct, large, key
):
    proxy.answer(500, "InternalError", times=3, pattern=r"partNumber=3\b")
    with pytest.raises(Unreachable):
        behind.put_file_once(key, large)
    direct.put_once(key, BODY)
    behind.put_file_once(key, large)
    assert [path.name for path in large.parent.iterdir()] == ["large"]
    assert direct._calls.open_uploads(key) == []


def test_a_large_body_in_memory_goes_up_in_parts_and_not_twice(
    proxy, behind, direct, monkeypatch, key
):
    with monkeypatch.context() as patched:
        patched.setattr(s3_parts, "md5", unwanted)
        behind.put_once(key, memoryview(BODY))
    assert (len(proxy.requests), proxy.seen(PARTS)) == (6, 3)
    assert direct.get(key) == BODY
    behind.put_once(key, BODY)
    for other in (BODY[:-1], BODY[:-1] + b"!"):
        with pytest.raises(Conflict):
            behind.put_once(key, other)
    assert proxy.seen(PARTS) == 3
    direct.put_once(f"{key}-whole", BODY[: MIB * 8 - 1])
    assert direct.get(f"{key}-whole") == BODY[: MIB * 8 - 1]


def test_a_large_body_in_memory_that_fails_leaves_nothing(proxy, behind, direct, key):
    proxy.answer(500, "InternalError", times=3, pattern=r"partNumber=3\b")
    with pytest.raises(Unreachable):
        behind.put_once(key, BODY)
    assert not direct.exists(key)
    assert direct._calls.open_uploads(key) == []
    behind.put_once(key, BODY)
    assert direct.get(key) == BODY


def test_a_large_body_in_memory_goes_on_where_the_exchange_went_away(proxy, behind, direct, key):
    proxy.answer(500, "InternalError", times=3, pattern=r"partNumber=3\b")
    proxy.answer(500, "InternalError", pattern="^DELETE")
    with pytest.raises(Unreachable):
        behind.put_once(key, BODY)
    behind.put_once(key, BODY)
    assert (proxy.seen(r"partNumber=1\b"), proxy.seen("^POST .*uploads")) == (1, 1)
    assert direct.get(key) == BODY
    assert direct._calls.open_uploads(key) == []


def test_a_sender_killed_with_a_body_in_memory_leaves_no_object(
    proxy, behind, bucket, seaweedfs, direct, large, key
):
    killed_in_the_second_part(MEMORY_SENDER, proxy, bucket, seaweedfs, large, key)
    assert not direct.exists(key)
    behind.put_once(key, BODY)
    assert direct.get(key) == BODY


def test_a_week_later_the_next_start_ends_what_a_killed_sender_forgot(direct, bucket, seaweedfs):
    calls, week = direct._calls, 7 * 24 * 60 * 60.0
    keys = ("coordinator/r/model", "parties/1/r/update", "another/object")
    uploads = [calls.begin(key, patient=True) for key in keys]
    for later, left in ((week - 60, 3), (week + 60, 1)):
        wall = time.time() + later
        S3Store(seaweedfs.endpoint, bucket, seaweedfs.environ, wall=lambda at=wall: at).prepare()
        assert sum(bool(calls.open_uploads(key)) for key in keys) == left
    calls.abort(keys[-1], uploads[-1])


class Killed(Exception):
    """The sender is gone."""


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_write_whose_sender_dies_after_its_headers_leaves_no_object(
    bucket, seaweedfs, direct, size, key
):
    """Without the body's MD5 in them, SeaweedFS keeps an empty object."""

    def headers_only(request: Any, **_: Any) -> None:
        place = urlsplit(seaweedfs.endpoint)
        lines = [f"PUT /{bucket}/{key} HTTP/1.1", f"Host: {place.netloc}"]
        for name, value in request.headers.items():
            if name != "Expect":
                lines.append(f"{name}: {value if isinstance(value, str) else value.decode()}")
        with socket.create_connection((place.hostname, place.port)) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)  # it has understood
        raise Killed

    dying = S3Store(seaweedfs.endpoint, bucket, seaweedfs.environ)
    dying._calls._client.meta.events.register_first("before-send.s3", headers_only)
    with pytest.raises(Killed):
        dying.put_once(key, b"x" * size)
    assert not direct.exists(key)
    direct.put_once(key, b"x" * size)
    assert direct.size(key) == size
