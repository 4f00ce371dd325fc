"""A real Prefect server that can be killed and comes back on the same port and database."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_story import until
from servers import free_ports


class PrefectServer:
    """One server; `stop` kills it, `start` brings it back on the same port and database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_ports(("prefect",))["prefect"]
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}/api"

    def start(self) -> None:
        """Start and wait until it answers."""
        environ = {**os.environ, "PREFECT_HOME": str(self._folder)}
        environ |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        environ.pop("PREFECT_API_URL", None)
        command = [sys.executable, "-m", "prefect", "server", "start", "--no-ui"]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(self._port)],
                stdout=log,
                stderr=log,
                env=environ,
                start_new_session=True,
            )
        until(self._answers, "the Prefect server", 240)

    def stop(self) -> None:
        """`kill -9` of the server and all its parts."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            line.request("GET", "/api/health")
            return line.getresponse().status == 200
        except OSError:
            return False
        finally:
            line.close()


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A running server, shared by all tests that ask for it: take names of your own."""
    server = PrefectServer(tmp_path_factory.mktemp("prefect"))
    try:
        server.start()
        yield server
    finally:
        server.stop()
