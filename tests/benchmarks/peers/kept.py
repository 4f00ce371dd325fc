"""Figures that outlive a command: what was measured in one need not be measured in the next."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from arms import Arm
from measuring import Figures


class Kept:
    """The figures of all runs in one file; without a file, nothing is kept."""

    def __init__(self, place: Path | None, rounds: int) -> None:
        """Runs of so many rounds, as far as `place` holds some."""
        self._place, self._rounds = place, rounds
        there = place is not None and place.exists()
        self._runs: dict[str, list[dict]] = json.loads(place.read_bytes()) if there else {}

    def of(self, parties: int, arm: Arm) -> list[Figures]:
        """Of one arm, in the order in which it ran."""
        return [Figures(**one) for one in self._runs.get(self._name(parties, arm), [])]

    def add(self, parties: int, arm: Arm, figures: Figures) -> None:
        """Keep one run more."""
        self._runs.setdefault(self._name(parties, arm), []).append(asdict(figures))
        if self._place is not None:
            self._place.write_text(json.dumps(self._runs, indent=1), "utf-8")

    def _name(self, parties: int, arm: Arm) -> str:
        return f"{parties} parties, {self._rounds} rounds, {arm.kind}: {arm.name}"
