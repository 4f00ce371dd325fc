"""What the matrix strikes with: a line that is held at one request, a disk that is full."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from command_story import ROOT, until
from holding_proxy import HoldingProxy
from servers import SeaweedFS
from small_disk import ballast, small_disk

from fedcore.exchange.s3 import S3Store

pytestmark = pytest.mark.servers
BODY = bytes(200_000)
SENDER = """
import os, sys
from fedcore.exchange.s3 import S3Store
S3Store(sys.argv[1], sys.argv[2], os.environ).put_once("record", bytes(7_000_000))
"""


@pytest.fixture
def line(seaweedfs: SeaweedFS) -> Iterator[HoldingProxy]:
    proxy = HoldingProxy(seaweedfs.endpoint)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.mark.parametrize("blocks", [0, 3])
def test_a_held_request_waits_and_goes_on(line, seaweedfs, blocks: int) -> None:
    """Nothing of it stands before the line is mended, whether held before or in its midst."""
    place = f"held-{blocks}"
    far = S3Store(seaweedfs.endpoint, place, seaweedfs.environ)
    near = S3Store(line.endpoint, place, seaweedfs.environ)
    near.prepare()
    line.hold(r"^PUT .*/second", blocks)
    near.put_once("first", BODY)
    assert not line.reached.is_set()
    putting = threading.Thread(target=near.put_once, args=("second", BODY))
    putting.start()
    assert line.reached.wait(20)
    assert not far.exists("second")
    line.mend()
    until(lambda: far.exists("second"), "the held object", 20)
    putting.join(20)
    assert far.get("second") == BODY


@pytest.mark.parametrize("blocks", [0, 1, 2])
def test_a_sender_that_dies_leaves_nothing_behind(line, seaweedfs, blocks: int) -> None:
    """Before the headers, between them and the first byte, and in the midst of the body.

    The body is larger than all buffers on its way: else all of it has left when the sender dies.
    """
    place = f"died-{blocks}"
    far = S3Store(seaweedfs.endpoint, place, seaweedfs.environ)
    far.prepare()
    line.hold(r"^PUT .*/record", blocks)
    words = [sys.executable, "-c", SENDER, line.endpoint, place]
    with subprocess.Popen(words, cwd=ROOT, env={**os.environ, **seaweedfs.environ}) as sender:
        assert line.reached.wait(20)
        sender.kill()
    passed = line.passed["up"]
    line.mend()
    line.wait_until_passed("up", passed + 1)
    assert nothing_comes(far, "record")
    far.put_once("record", BODY)
    assert far.get("record") == BODY


def nothing_comes(store: S3Store, key: str, seconds: float = 2.0) -> bool:
    """Whether an object is not there, and does not come for a while either."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if store.exists(key):
            return False
        time.sleep(0.05)
    return True


def test_a_full_disk_takes_nothing_and_an_emptied_one_does(tmp_path) -> None:
    with small_disk(tmp_path / "small", megabytes=1) as disk:
        with ballast(disk), pytest.raises(OSError, match="No space") as full:
            (disk / "more").write_bytes(b"more")
        assert full.value.errno == errno.ENOSPC
        (disk / "more").write_bytes(b"more")
