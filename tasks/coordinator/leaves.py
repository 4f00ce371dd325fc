"""The processes that add up the groups of a tree, beside the coordinator: as many as cores.

What they do stands in the exchange, so one that dies is simply started again. One that dies again
and again leaves its group to the coordinator, which then says by itself what is wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from tasks.coordinator.desk import desk_at
from tasks.seat import Seat
from tasks.voices import voice_of

STARTS = 4
LOOK_SECONDS = 0.05
ROOT = Path(__file__).resolve().parents[2]
_CORES = threading.BoundedSemaphore(os.cpu_count() or 1)


def add_up(seat: str, number: int, group: int, answers: Mapping[str, str]) -> bool:
    """Have a process add the group up, as soon as a core is free for it; whether it did."""
    told = json.dumps({"answers": dict(answers), "keys": desk_at(seat).known_keys()})
    for start in range(1, STARTS + 1):
        with _core(seat):
            code = _run([seat, str(number), str(group)], told)
        if code == 0:
            return True
        word = "started again" if start < STARTS else "the coordinator adds it up itself"
        voice_of(seat).say(f"round {number}: the process of group {group} died, {word}")
    return False


@contextlib.contextmanager
def _core(seat: str) -> Iterator[None]:
    """One of the machine's cores; the wait for it ends as the seat's other waits do."""
    while not _CORES.acquire(timeout=LOOK_SECONDS):
        voice_of(seat).pause(0)
    try:
        yield
    finally:
        _CORES.release()


def _run(words: list[str], told: str) -> int:
    """Start a process and wait for its end; its exit code. Whatever ends the wait ends it, too."""
    place = Seat.load(words[0])
    log = place.folder / "runs" / place.run / "groups.log"
    with log.open("a", encoding="utf-8") as sink:
        process = subprocess.Popen(  # noqa: S603 (this very Python)
            [sys.executable, "-m", "tasks.coordinator.group_process", *words],
            stdin=subprocess.PIPE,
            stdout=sink,
            stderr=sink,
            encoding="utf-8",
            cwd=ROOT,
            start_new_session=True,
        )
    try:
        return _ended(process, told, words[0])
    finally:
        process.kill()
        process.wait()


def _ended(process: subprocess.Popen[str], told: str, seat: str) -> int:
    with contextlib.suppress(BrokenPipeError):  # it is dead already
        if process.stdin is not None:
            process.stdin.write(f"{told}\n")
            process.stdin.flush()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(LOOK_SECONDS)
        voice_of(seat).pause(0)
