"""The worker's unit and container file, checked as far as it goes without an engine."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

from flows.party import service_files

ANALYZE = shutil.which("systemd-analyze")
COMMAND = Path("/bin/true")  # what the unit starts must exist to be called valid
HOMES = ["hospital", "with space", "50%", "a$b", 'quo"te']


def settings(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def verified(path: Path) -> str:
    """What systemd has to say of a unit; nothing on a machine without it."""
    if ANALYZE is None:
        return ""
    said = subprocess.run(
        [ANALYZE, "verify", str(path)], capture_output=True, text=True, check=False
    )
    return said.stdout + said.stderr


@pytest.mark.parametrize("name", HOMES)
def test_systemd_takes_the_unit_without_a_word(tmp_path, name):
    home = tmp_path / name
    home.mkdir()
    path = home / service_files.UNIT
    path.write_text(service_files.unit(home, "munich", COMMAND, "root"))
    assert verified(path) == ""


def test_systemd_would_say_what_is_wrong(tmp_path):
    path = tmp_path / service_files.UNIT
    text = service_files.unit(tmp_path, "munich", Path("/no/such/command"), "root")
    path.write_text(text.replace("Restart=always", "Restart=perhaps"))
    if ANALYZE is not None:
        assert "perhaps" in verified(path)
        assert "/no/such/command" in verified(path)


def test_the_unit_starts_the_worker_again_without_end_and_lets_it_write_at_home_alone(tmp_path):
    unit = settings(service_files.unit(tmp_path, "munich", COMMAND, "fed"))
    assert unit["ExecStart"] == f'"{COMMAND}" party start --home "{tmp_path}"'
    assert (unit["Restart"], unit["StartLimitIntervalSec"]) == ("always", "0")
    assert (unit["User"], unit["UMask"]) == ("fed", "0077")
    assert (unit["ProtectSystem"], unit["ReadWritePaths"]) == ("strict", f'"{tmp_path}"')


def test_the_container_file_is_whole_and_runs_as_nobody_special():
    text = io.BytesIO(service_files.container("munich").encode())
    steps = DockerfileParser(fileobj=text).structure
    words = [step["instruction"] for step in steps if step["instruction"] != "COMMENT"]
    assert words[0] == "FROM"
    said = {step["instruction"]: step["value"] for step in steps}
    assert said["USER"] == "fedcore"
    assert words.index("USER") > max(place for place, word in enumerate(words) if word == "RUN")
    assert json.loads(said["ENTRYPOINT"]) == ["fedcore", "party", "start", "--home", "/party"]
    assert {"ENV", "ARG", "ADD", "EXPOSE"}.isdisjoint(words)


def test_nothing_of_the_home_but_the_wheel_enters_the_image(tmp_path):
    """The secrets lie in the folder that the image is built from."""
    ignored = service_files.texts(tmp_path, "munich")[service_files.IGNORE].split()
    assert ignored == ["*", "!fedcore-*.whl"]
    copied = [
        line.split()[1]
        for line in service_files.container("munich").splitlines()
        if line.startswith("COPY")
    ]
    assert copied == ["fedcore-*.whl"]
