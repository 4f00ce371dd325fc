"""What the comparison says of a run, and that nothing of a run is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Measuring ends every process below its own, so it is done in a process of its own.
MEASURED = """
import dataclasses, json, sys
from measuring import Failed, measure
from processes import nothing_left
with nothing_left():
    try:
        found = measure(sys.argv[3:], {}, int(sys.argv[1]), float(sys.argv[2]))
        print(json.dumps(dataclasses.asdict(found)))
    except Failed as failure:
        print(str(failure).splitlines()[-1])
"""
# Three rounds after the first two: of 1, 5 and 3 s.
MARKS = """
import os, pathlib, sys
marks = pathlib.Path(sys.argv[-1])
marks.write_text("".join(f"{moment} {os.getpid()}\\n" for moment in (10, 17, 20, 21, 26, 29)))
marks.with_name("marks.notes").write_text("started 2.5\\nsubmitted 9.5\\n")
import time; time.sleep(0.5)
"""
# Leaves a process behind, as a start script does, and says its number.
LEAVES = "(sleep 600 & echo $! > {place}); sleep {seconds}"


def measured(rounds: int, *command: str, limit: float = 60.0) -> str:
    """The last line of what is said about a run."""
    words = [sys.executable, "-c", MEASURED, str(rounds), str(limit), *command]
    done = subprocess.run(words, cwd=HERE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def lives(place: Path) -> bool:
    return Path(f"/proc/{int(place.read_text())}").exists()


def test_a_run_that_did_not_do_all_rounds_fails():
    assert measured(6, sys.executable, "-c", MARKS) == "ended with 0, 6 marks"


def test_the_first_two_rounds_are_left_out_and_starting_is_from_the_notes():
    found = json.loads(measured(5, sys.executable, "-c", MARKS))
    assert (found["seconds"], found["start"], found["submitted"]) == (3, 14.5, 7.5)
    assert found["combining"] == found["largest"] > 1


def test_what_a_start_script_leaves_behind_is_ended(tmp_path: Path):
    place = tmp_path / "number"
    leaves = LEAVES.format(place=place, seconds=0.3)
    assert measured(1, "sh", "-c", leaves) == "ended with 0, 0 marks"
    assert not lives(place)


def test_a_run_beyond_its_limit_is_ended_with_all_that_it_started(tmp_path: Path):
    place = tmp_path / "number"
    leaves = LEAVES.format(place=place, seconds=600)
    assert measured(1, "sh", "-c", leaves, limit=1.0) == "ended with -15, 0 marks"
    assert not lives(place)


def test_a_process_that_lives_is_seen(tmp_path: Path):
    place = tmp_path / "number"
    place.write_text(str(os.getpid()))
    assert lives(place)
