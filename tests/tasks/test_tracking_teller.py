"""The process that writes to MLflow: it dies, it breaks, it ends with whoever it works for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import training_story as story
from command_story import until
from mlflow import MlflowClient

from tasks.tracking_away import TrackingAway, TrackingBroken
from tasks.tracking_teller import Teller, Told
from tasks.tracking_words import Wish

ROOT = Path(__file__).resolve().parents[2]
PARENT = """
import sys, time
from tasks.tracking_teller import Teller
teller = Teller()
print(teller.pid, flush=True)
time.sleep(60)
"""
# It lets go of all its pipes, and is there for a while yet.
SLOW_END = """
import atexit, os, time
atexit.register(lambda: (os.closerange(3, 64), time.sleep(2)))
"""


class Strange(Wish):
    """A wish that the process does not understand."""

    strange: str = "word"


@pytest.fixture
def teller() -> Iterator[Teller]:
    one = Teller()
    yield one
    one.close()


def opened(teller: Teller, uri: str, task) -> Told:
    return Told(teller, uri, task, story.agreement(task), story.hellos(task))


def steps(uri: str, told: Told) -> list[int]:
    history = MlflowClient(uri, uri).get_metric_history(told.run_id, "federated/auroc")
    return [one.step for one in history]


def test_one_that_is_killed_is_away_and_the_next_writes_what_was_missed(teller, database, task):
    first = opened(teller, database, task)
    first.sync(story.records()[:2])
    os.kill(teller.pid, signal.SIGKILL)
    with pytest.raises(TrackingAway, match="was killed"):
        first.sync(story.records()[:3])
    assert not teller.there
    other = Teller()
    try:
        second = opened(other, database, task)
        second.sync(story.records()[:3])
    finally:
        other.close()
    assert second.run_id == first.run_id
    assert steps(database, second) == [1, 2, 3]


def test_one_that_breaks_is_not_taken_for_a_server_that_is_away(teller):
    with pytest.raises(TrackingBroken, match="ended by itself"):
        teller.ask(Strange())
    assert not teller.there


def test_one_that_breaks_is_so_however_long_a_busy_machine_takes_to_end_it(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(SLOW_END)
    slow = Teller({**os.environ, "PYTHONPATH": str(tmp_path)})
    try:
        with pytest.raises(TrackingBroken, match="ended by itself"):
            slow.ask(Strange())
    finally:
        slow.close()


def test_one_without_a_training_says_so(teller):
    with pytest.raises(TrackingAway, match="no training"):
        teller.ask(Wish())


def test_it_ends_when_whoever_it_works_for_is_killed():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, cwd=ROOT)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert running(pid)
    parent.kill()
    parent.communicate()
    until(lambda: not running(pid), "the process to end", 20, 0.05)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
