"""The first thing that a person types: help and version, at once and with examples."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from cli_story import COMMANDS, ROOT, fedcore

import fedcore as package

HEAVY = {"torch", "torchvision", "prefect", "mlflow", "pydicom", "pyarrow", "boto3"}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_help_of_every_command_shows_an_example(command):
    said = fedcore(*command, "--help")
    assert said.code == 0
    example = re.compile(" ".join(["^ +fedcore", *command]) + r"(?! [a-z ]*fedcore)", re.MULTILINE)
    assert example.search(said.out), said.out
    assert "\b" not in said.out
    assert "\\b" not in said.out


def test_the_version_is_said():
    assert fedcore("--version").out == f"fedcore {package.__version__}\n"


def test_nothing_heavy_is_loaded_before_a_command_needs_it():
    code = "import json, sys, flows.cli; print(json.dumps([name for name in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(json.loads(done.stdout))
