"""A peer's own virtual environment, made once in a cache folder outside the checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# Neither pulls torch in.
FLOWER = "flwr[simulation]==1.41.0"
NVFLARE = "nvflare==2.9.0"
SAID = "import importlib.metadata as m, sys; print(*(f'{n} {m.version(n)}' for n in sys.argv[1:]))"


def default_cache() -> Path:
    return Path.home() / ".cache" / "fedcore-peers"


def python_of(cache: Path, name: str, requirement: str) -> Path:
    """The Python of the environment `name`, in which `requirement` is installed."""
    folder = cache.expanduser().resolve() / name
    checkout = Path(__file__).resolve().parents[3]
    if folder.is_relative_to(checkout):
        sys.exit(f"--cache: {cache} lies in the checkout: name a folder outside it")
    python, done = folder / "bin" / "python", folder / "installed.txt"
    if not done.exists() or done.read_text("utf-8") != requirement:
        print(f"installing {requirement} into {folder}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, requirement], check=True)
        done.write_text(requirement, "utf-8")
    return python


def versions(python: Path, *names: str) -> str:
    """`name version` of the packages as that Python has them."""
    found = subprocess.run([python, "-c", SAID, *names], check=True, capture_output=True, text=True)
    return ", ".join(
        f"{name} {number}" for name, number in zip(*[iter(found.stdout.split())] * 2, strict=True)
    )
