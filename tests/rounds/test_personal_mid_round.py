"""A hospital that vanishes while its personal model learns goes on to the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_mid_round import Hospital, Killed

from fedcore.rounds import party


class Personal(Hospital):
    """It is killed in the personal model's training only, and counts those steps."""

    def _step(self, phase: str, done: int, total: int, loss: float | None) -> None:
        if phase == "personal":
            super()._step(phase, done, total, loss)
        self.time.now += 60.0


def hospital(folder: Path) -> Personal:
    folder.mkdir()
    return Personal(folder, strategy="ditto")


def kept(folder: Path) -> dict[str, bytes]:
    found = sorted((folder / "spool").glob("*.safetensors"))
    return {path.name: path.read_bytes() for path in found if "model" not in path.name}


def test_a_party_killed_while_its_personal_model_learns_goes_on_to_the_same_bits(tmp_path) -> None:
    whole = hospital(tmp_path / "whole")
    expected = party.train(whole.start(), 1)
    killed = hospital(tmp_path / "killed")
    killed.kill_at = 3
    with pytest.raises(Killed):
        party.train(killed.start(), 1)
    assert not (tmp_path / "killed" / "spool" / "personal-00001.safetensors").exists()
    killed.kill_at, killed.steps = None, []
    assert party.train(killed.start(), 1) == expected
    assert killed.steps == list(range(3, whole.steps[-1] + 1))
    assert kept(tmp_path / "killed") == kept(tmp_path / "whole")
    assert "personal-00001.safetensors" in kept(tmp_path / "whole")
    assert list((tmp_path / "killed" / "spool" / "personal-checkpoint").iterdir()) == []


def test_an_answered_round_is_not_trained_again_for_either_model(tmp_path) -> None:
    place = hospital(tmp_path / "again")
    first = party.train(place.start(), 1)
    place.steps = []
    assert party.train(place.start(), 1) == first
    assert place.steps == []
