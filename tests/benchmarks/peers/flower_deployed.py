"""The neutral work in Flower deployed; run by the Python of Flower's own environment.

`python flower_deployed.py PARTIES ROUNDS plain|scored MARKS`, see flower_app.py. A SuperLink, a
SuperNode for each party and `flwr run`, all on 127.0.0.1; apps run in processes of their own, which
is Flower's default.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from neutral import note
from processes import nothing_left

HERE = Path(__file__).resolve().parent
HOST = "127.0.0.1"
EVERY = 0.1
LIMIT = 300.0
APP = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "neutral"
version = "1.0.0"
description = "the neutral work"
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "fedcore"

[tool.flwr.app.components]
serverapp = "flower_app:server"
clientapp = "flower_app:client"

[tool.flwr.app.config]
parties = {parties}
rounds = {rounds}
scored = {scored}
marks = "{marks}"
"""
CONNECTION = """\
[superlink]
default = "here"

[superlink.here]
address = "{host}:{port}"
insecure = true
"""


def main() -> None:
    parties, rounds, scored, marks = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="fl-") as name, nothing_left():
        folder = Path(name)
        os.environ |= {"FLWR_HOME": str(folder / "home"), "PATH": path()}
        port, *doors = free_ports(int(parties) + 1)
        write_app(folder / "app", int(parties), int(rounds), scored == "scored", marks)
        write_connection(folder / "home", port)
        note(Path(marks), "started")
        start_all(folder, port, doors)
        note(Path(marks), "submitted")
        try:
            command = ["flwr", "run", folder / "app", "here", "--stream"]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        finally:
            show_logs(folder)


def path() -> str:
    """This environment's programs first: Flower starts its own by name."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def write_app(folder: Path, parties: int, rounds: int, scored: bool, marks: str) -> None:
    folder.mkdir()
    for name in ("flower_app.py", "neutral.py"):
        shutil.copy(HERE / name, folder / name)
    text = APP.format(parties=parties, rounds=rounds, scored=str(scored).lower(), marks=marks)
    (folder / "pyproject.toml").write_text(text, "utf-8")


def write_connection(home: Path, port: int) -> None:
    home.mkdir()
    (home / "config.toml").write_text(CONNECTION.format(host=HOST, port=port), "utf-8")


def start_all(folder: Path, port: int, doors: list[int]) -> None:
    """The SuperLink, then all SuperNodes at once; returns when all of them are registered."""
    link = ["flower-superlink", "--insecure", "--host", HOST, "--port", str(port)]
    # Nothing is to be installed: the app needs numpy alone.
    start([*link, "--disable-runtime-dependency-installation"], folder / "link.log")
    wait(lambda: answers(port), "the SuperLink answers")
    logs = [folder / f"node-{door}.log" for door in doors]
    node = ["flower-supernode", "--insecure", "--superlink", f"{HOST}:{port}", "--host", HOST]
    for door, log in zip(doors, logs, strict=True):
        start([*node, "--port", str(door)], log)
    wait(lambda: all("SuperNode ID" in log.read_text("utf-8") for log in logs), "all nodes stand")


def start(command: list[str], log: Path) -> None:
    with log.open("wb") as out:
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)


def answers(port: int) -> bool:
    with suppress(urllib.error.HTTPError), suppress(OSError):
        urllib.request.urlopen(f"http://{HOST}:{port}/docs", timeout=5).close()
        return True
    return False


def show_logs(folder: Path) -> None:
    """The end of a SuperNode's log and of the SuperLink's, which are gone with the folder."""
    for log in (*sorted(folder.glob("node-*.log"))[:1], folder / "link.log"):
        print(log, log.read_text("utf-8", "replace")[-1800:], sep="\n")


def wait(condition: Callable[[], bool], what: str) -> None:
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > LIMIT:
            sys.exit(f"waited {LIMIT:.0f} s in vain until {what}")
        time.sleep(EVERY)


def free_ports(number: int) -> list[int]:
    """Different ones: all are held until the last is found."""
    doors = [socket.socket() for _ in range(number)]
    for door in doors:
        door.bind((HOST, 0))
    ports = [door.getsockname()[1] for door in doors]
    for door in doors:
        door.close()
    return ports


if __name__ == "__main__":
    main()
