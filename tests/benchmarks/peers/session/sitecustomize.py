"""In a session's process: the neutral work in the place of training and scoring, nothing else.

Python imports this by itself when its folder is on PYTHONPATH, which the benchmark writes into a
hospital's `secrets.env`. It waits for the two modules of the party's side and changes one name in
each once they are loaded; it notes, too, when that was: the session is up.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

PARTY = "fedcore.rounds.party."
Change = Callable[[ModuleType], None]


def at_once(training: ModuleType) -> None:
    """The loop over batches gives a perturbed model at once."""
    from neutral_work import trained_at_once  # noqa: PLC0415 (torch only where it is loaded anyway)

    training.train_round = trained_at_once
    from neutral import mark  # noqa: PLC0415

    mark(Path(os.environ["FEDCORE_PARTY_HOME"]) / "up")


def constant(scoring: ModuleType) -> None:
    """Scoring gives constant counts."""
    from neutral_work import scored_at_once  # noqa: PLC0415

    scoring.evaluate = scored_at_once


CHANGES = {f"{PARTY}training": at_once, f"{PARTY}scoring": constant}


class Changing(importlib.abc.Loader):
    """Loads a module as it is, then changes it."""

    def __init__(self, inner: importlib.abc.Loader, change: Change) -> None:
        self._inner, self._change = inner, change

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._inner.exec_module(module)
        self._change(module)


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules that are to be changed where they are found anyway."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in CHANGES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = Changing(spec.loader, CHANGES[name])
        return spec


if "FEDCORE_PARTY_HOME" in os.environ:
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    sys.meta_path.insert(0, Finder())
