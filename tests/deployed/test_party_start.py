"""`fedcore party start`: what it refuses to start with, and that a home has one worker."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from command_story import ROOT, until
from small_world import SmallWorld

pytestmark = [pytest.mark.servers, pytest.mark.timeout(400)]


def start(home) -> subprocess.CompletedProcess[str]:
    """Start and wait: for what ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", "party", "start", "--home", str(home)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_second_worker_of_a_home_says_so_and_ends(world: SmallWorld):
    until(lambda: "serves pool party-2" in world.log("2").read_text(), "the first worker", 120)
    second = start(world.home("2"))
    assert second.returncode == 2
    assert "its worker is running already: stop that one first" in second.stderr
    assert world.programs["2"].poll() is None


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda home: (home / "keys" / "party-2.key").chmod(0o644), "run chmod 600"),
        (lambda home: (home / "secrets.env").chmod(0o644), "run chmod 600"),
        (lambda home: (home / "policy.yaml").write_text("dicide: ask"), "did you mean 'decide'?"),
        (lambda home: (home / "party_config.json").unlink(), "this is no party's home"),
    ],
)
def test_a_home_that_is_not_ready_is_told_in_one_sentence(world: SmallWorld, tmp_path, spoil, said):
    home = tmp_path / "hospital"
    shutil.copytree(world.home("2"), home)
    spoil(home)
    done = start(home)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
