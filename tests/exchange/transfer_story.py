"""What the tests of large transfers share: a body of three parts, and processes to kill."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

from fault_proxy import FaultProxy
from servers import SeaweedFS

MIB = 1 << 20
BODY = random.Random(7).randbytes(17 * MIB + 5)
SENDER = """
import os, sys
from pathlib import Path
from fedcore.exchange.s3 import S3Store
S3Store(sys.argv[1], sys.argv[2], os.environ).put_file_once(sys.argv[4], Path(sys.argv[3]))
"""
MEMORY_SENDER = """
import os, sys
from pathlib import Path
from fedcore.exchange.s3 import S3Store
store = S3Store(sys.argv[1], sys.argv[2], os.environ)
store.put_once(sys.argv[4], Path(sys.argv[3]).read_bytes())
"""
FETCHER = """
import os, sys
from pathlib import Path
from fedcore.exchange.s3 import S3Store
S3Store(sys.argv[1], sys.argv[2], os.environ).get_to_file(sys.argv[4], Path(sys.argv[3]))
"""


def child(
    script: str, proxy: FaultProxy, bucket: str, seaweedfs: SeaweedFS, path: Path, key: str
) -> subprocess.Popen[bytes]:
    """A process that moves one file through the proxy."""
    return subprocess.Popen(
        [sys.executable, "-c", script, proxy.endpoint, bucket, str(path), key],
        env={**os.environ, **seaweedfs.environ},
    )


def killed_in_the_second_part(
    script: str, proxy: FaultProxy, bucket: str, server: SeaweedFS, path: Path, key: str
) -> None:
    """Have a process send a body up a slow line, kill it in the middle, and mend the line."""
    proxy.limit(12 * MIB)
    sender = child(script, proxy, bucket, server, path, key)
    proxy.wait_for(r"partNumber=2\b")
    sender.kill()
    sender.wait()
    proxy.mend()
