"""Many stores in one process, and many threads at one store: neither costs what need not be."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest

from fedcore.exchange.s3 import S3Store
from fedcore.exchange.s3_line import KEPT_OPEN, plain_session

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
PLACE = "http://127.0.0.1:9"
MB = 1e6


def test_only_the_first_store_of_a_process_reads_what_aws_says_of_s3():
    known = S3Store(PLACE, "bucket", CREDENTIALS)
    plain_session().client("iam", endpoint_url=PLACE, region_name="us-east-1")
    gc.collect()
    tracemalloc.start()
    try:
        more = [S3Store(PLACE, "bucket", CREDENTIALS) for _ in range(3)]
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held / len(more) < 1.5 * MB  # 5 MB and more with a description of its own
    assert known is not None


@pytest.mark.servers
def test_who_waits_for_many_parties_in_threads_keeps_their_connections(seaweedfs, caplog):
    store = S3Store(seaweedfs.endpoint, "waiting", seaweedfs.environ)
    store.prepare()
    together = threading.Barrier(KEPT_OPEN // 2)

    def look(number: int) -> bool:
        found = False
        for _ in range(3):
            together.wait(60)
            found = store.exists(f"a/{number}")
        return found

    with ThreadPoolExecutor(together.parties) as threads:
        assert not any(threads.map(look, range(together.parties)))
    assert "Connection pool is full" not in caplog.text
