"""Real servers for tests: SeaweedFS as the S3 exchange, with authentication on."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from flows.hub.ports import is_free

WEED = Path(sys.executable).parent / "weed"
# Below the range from which the system hands out ports by itself, and so is each plus 10000.
PORTS = range(11_000, 22_000)
SERVICES = ("s3", "master", "filer", "volume", "admin")
GRPC_OFFSET = 10_000


class SeaweedFS:
    """One server on this machine's own address; `stop` and `start` keep data and ports."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = free_ports(SERVICES)
        self._process: subprocess.Popen[bytes] | None = None
        self.endpoint = f"http://127.0.0.1:{self._ports['s3']}"
        self.access_key = "admin" + secrets.token_hex(4)
        self.secret_key = secrets.token_hex(16)
        self._limited_key = "limited" + secrets.token_hex(4)
        self._limited_secret = secrets.token_hex(16)
        (folder / "data").mkdir(parents=True)
        self._write_secrets()

    @property
    def stored(self) -> int:
        """The bytes of all that it keeps."""
        files = [path for path in (self._folder / "data").rglob("*") if path.is_file()]
        return sum(path.stat().st_size for path in files)

    @property
    def environ(self) -> Mapping[str, str]:
        """Credentials that may do everything."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}

    @property
    def limited_environ(self) -> Mapping[str, str]:
        """Credentials that may read the bucket `limited` and write under its `parties/10000/`."""
        return {
            "AWS_ACCESS_KEY_ID": self._limited_key,
            "AWS_SECRET_ACCESS_KEY": self._limited_secret,
        }

    def start(self) -> None:
        """Start and wait until it answers; nothing to do when it runs already."""
        if self._process is not None:
            return
        # It would otherwise apply the flags of its last start again.
        (self._folder / "data" / "mini.options").unlink(missing_ok=True)
        log = (self._folder / "weed.log").open("ab")
        self._process = subprocess.Popen(
            self._command(),
            cwd=self._folder,
            env={**os.environ, "GOGC": "30"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        self._wait_until_it_answers()

    def stop(self) -> None:
        """End it, by force if it takes its time; the data stays."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=8)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._remove_sockets()

    def kill(self) -> None:
        """End it as a power cut would; the data stays."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        process.wait()
        self._remove_sockets()

    def _remove_sockets(self) -> None:
        """It leaves its local sockets behind in a fixed place, named by port."""
        for port in self._ports.values():
            for number in (port, port + GRPC_OFFSET):
                for left in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):
                    left.unlink(missing_ok=True)

    def _command(self) -> list[str]:
        ports = [f"-{name}.port={port}" for name, port in self._ports.items()]
        data = self._folder / "data"
        return [
            *(str(WEED), "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *ports,
            *("-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false"),
            *("-master.telemetry=false", "-s3.iam.readOnly=false"),
            "-s3.autoCreateBucket=false",
            f"-s3.config={self._folder / 's3.json'}",
        ]

    def _write_secrets(self) -> None:
        everything = ["Admin", "Read", "Write", "List", "Tagging"]
        own = ["Read:limited/*", "List:limited/*", "Write:limited/parties/10000/*"]
        users = {
            "admin": (self.access_key, self.secret_key, everything),
            "limited": (self._limited_key, self._limited_secret, own),
        }
        identities = [
            {"name": n, "credentials": [{"accessKey": a, "secretKey": s}], "actions": actions}
            for n, (a, s, actions) in users.items()
        ]
        key = secrets.token_hex(16)
        doors = ("signing", "signing.read", "filer_signing", "filer_signing.read")
        tokens = "".join(f'[jwt.{door}]\nkey = "{key}"\n' for door in doors)
        for name, text in (
            ("s3.json", json.dumps({"identities": identities})),
            ("security.toml", tokens),
        ):
            (self._folder / name).touch(mode=0o600)
            (self._folder / name).write_text(text)

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + 60
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                log = (self._folder / "weed.log").read_text(errors="replace")[-3000:]
                raise RuntimeError(f"SeaweedFS does not start:\n{log}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        """Whether a signed write goes through: the S3 door opens before the volumes do."""
        # Not at the top: sessions without servers need no boto3, which reads the environment.
        from fedcore.errors import ExchangeError  # noqa: PLC0415
        from fedcore.exchange.s3 import S3Store  # noqa: PLC0415

        if not _port_answers(self._ports["s3"]):
            return False
        try:
            store = S3Store(self.endpoint, "ready", self.environ)
            store.prepare()
            store.put_once("ready", b"ready")
        except ExchangeError:
            return False
        return True


def free_ports(names: tuple[str, ...]) -> dict[str, int]:
    """A free port for each name, whose gRPC twin 10000 higher is free as well."""
    start = PORTS.start + secrets.randbelow(len(PORTS))
    order = (PORTS.start + (start + step) % len(PORTS) for step in range(len(PORTS)))
    free = (port for port in order if is_free(port))
    return {name: next(free) for name in names}


def _port_answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
    return True


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[SeaweedFS]:
    """A running SeaweedFS of this test session's own."""
    folder = Path(tempfile.mkdtemp(prefix="seaweedfs-"))
    server = SeaweedFS(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
