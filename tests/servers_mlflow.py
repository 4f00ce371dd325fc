"""A real MLflow server for tests: SQLite and artifacts in a folder, on a free port of loopback."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import free_ports

PATIENCE = 240  # seconds; a fresh database on a busy machine takes more than one minute


class MlflowServer:
    """One server; `stop` and `start` keep its data and its port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_ports(("mlflow",))["mlflow"]
        self._process: subprocess.Popen[bytes] | None = None
        self.uri = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start and wait until it answers."""
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self._folder,
                env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        limit = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > limit:
                log_text = (self._folder / "server.log").read_text(errors="replace")
                raise RuntimeError(f"mlflow server does not answer:\n{log_text[-2000:]}")
            time.sleep(0.2)

    def stop(self) -> None:
        """End it and the workers that it started."""
        if self._process is None:
            return
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def _command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"),
            *("--port", str(self._port), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{self._folder / 'server.db'}"),
            *("--artifacts-destination", str(self._folder / "artifacts")),
        ]

    def _answers(self) -> bool:
        line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            line.request("GET", "/health")
            return line.getresponse().status == 200
        except OSError:
            return False
        finally:
            line.close()


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """A running server, shared by all tests that ask for it: take names of your own."""
    server = MlflowServer(tmp_path_factory.mktemp("mlflow-server"))
    server.start()
    yield server
    server.stop()
