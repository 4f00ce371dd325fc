"""What a fresh process really loads: the wall, and the craft without Prefect and MLflow."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys

import pytest
from house_sources import ROOT, SOURCE, sources

COORDINATORS = (
    "tasks.coordinator",
    "fedcore.rounds.coordinator",
    "flows.federated_training",
    "flows.deployed_training",
    "flows.retraining",
    "flows.worker.coordinator",
    "flows.vertical_training",
)
# MLflow brings pandas and pandas brings pyarrow, so where MLflow is loaded pyarrow says nothing.
ALSO_WITHOUT = {"torch", "torchvision", "pydicom"}
NEVER = ALSO_WITHOUT | {"pyarrow"}
LOADED = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
BLOCKED = """
import importlib, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"prefect", "mlflow", "tasks", "flows"}:
            raise ModuleNotFoundError(f"{name} is not for fedcore")

sys.meta_path.insert(0, Refuse())
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def python(code: str, *arguments: str) -> str:
    """Run `code` in a fresh interpreter at the root of the project; its output."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def modules(*packages: str) -> list[str]:
    """Modules that exist, of the given packages."""
    found = [source.module for source in sources(*SOURCE)]
    return [name for name in found if any(f"{name}.".startswith(f"{one}.") for one in packages)]


@pytest.mark.parametrize("room", [name for name in COORDINATORS if modules(name)])
def test_the_coordinators_side_loads_neither_torch_nor_pydicom_nor_pyarrow(room: str):
    loaded = set(json.loads(python(LOADED, *modules(room)).splitlines()[-1]))
    forbidden = ALSO_WITHOUT if "mlflow" in loaded else NEVER
    assert not loaded & forbidden, f"{room} loads {sorted(loaded & forbidden)}"


def test_the_craft_is_importable_with_neither_prefect_nor_mlflow():
    python(BLOCKED, *modules("fedcore"))


def test_the_blocker_blocks():
    with pytest.raises(AssertionError, match="prefect is not for fedcore"):
        python(BLOCKED, "prefect")


def test_tests_and_what_they_start_have_a_home_of_their_own():
    theirs = pwd.getpwuid(os.getuid()).pw_dir
    names = ("HOME", "PREFECT_HOME", "MLFLOW_TRACKING_URI", "AWS_SHARED_CREDENTIALS_FILE")
    code = f"import os\nfor name in {names}: print(os.environ[name])"
    for place in python(code).split():
        assert os.environ["HOME"] in place
        assert not place.removeprefix("sqlite:///").startswith(f"{theirs}/")
