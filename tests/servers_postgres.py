"""A real PostgreSQL for tests, on a free port of loopback, with a password that needs quoting."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from servers import free_ports

USER = "coordinator"
PATIENCE = 60.0


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of an empty, running server; the same program that a distribution installs."""
    folder = Path(tempfile.mkdtemp(prefix="fedcore-postgres-"))
    password = secrets.token_urlsafe(9) + "@:/%"
    (folder / "password").write_text(password)
    as_whom = _nobody_in(folder)
    port = free_ports(("postgres",))["postgres"]
    data = folder / "data"
    _run(
        *(_program("initdb"), "-D", str(data), "-U", USER, "--auth=scram-sha-256"),
        f"--pwfile={folder / 'password'}",
        **as_whom,
    )
    command = [_program("postgres"), "-D", str(data), "-p", str(port)]
    command += ["-h", "127.0.0.1", "-k", str(folder)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **as_whom)
    try:
        _wait(server, folder, port)
        yield f"postgresql://{USER}:{quote(password, safe='')}@127.0.0.1:{port}"
    finally:
        server.terminate()  # ends its other processes, too, whoever is still connected
        server.kill() if _deaf(server) else None
        shutil.rmtree(folder, ignore_errors=True)


def _nobody_in(folder: Path) -> Mapping[str, Any]:
    """Root may not run PostgreSQL: somebody without rights does, and owns the folder."""
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    for path in (folder, folder / "password"):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _program(name: str) -> str:
    """Where a program of PostgreSQL is; Debian keeps them out of the PATH."""
    found = shutil.which(name) or next(
        (str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None
    )
    assert found, f"{name} is missing: install postgresql"
    return found


def _run(*command: str, **as_whom: Any) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", **as_whom)
    assert done.returncode == 0, done.stderr


def _wait(server: subprocess.Popen[bytes], folder: Path, port: int) -> None:
    limit = time.monotonic() + PATIENCE
    while not (folder / f".s.PGSQL.{port}").exists():
        if server.poll() is not None or time.monotonic() > limit:
            raise RuntimeError((folder / "log").read_text())
        time.sleep(0.05)


def _deaf(server: subprocess.Popen[bytes]) -> bool:
    try:
        server.wait(timeout=20)
    except subprocess.TimeoutExpired:
        return True
    return False
