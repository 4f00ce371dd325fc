"""Global models in the spool: read where they lie, and fetched again where they were torn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rounds_pair import Pair

from fedcore.exchange.memory import MemoryStore
from fedcore.rounds.party import weights
from fedcore.rounds.party.desk import Desk
from fedcore.rounds.party.near import Near
from fedcore.rounds.party.requests import invitation


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    pair = Pair(tmp_path)
    pair.open()
    return pair.desks[0]


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of what came as a file."""
    told: list[str] = []
    inner = MemoryStore.get_to_file

    def noted(self: MemoryStore, key: str, path: Path) -> str:
        told.append(key)
        return inner(self, key, path)

    monkeypatch.setattr(MemoryStore, "get_to_file", noted)
    return told


def kept(desk: Desk) -> Path:
    """The one model of the spool."""
    (path,) = desk.spool.glob("model-*")
    return path


def opened(desk: Desk) -> dict[str, list]:
    """The first round's model, as a process that starts anew opens it."""
    anew = replace(desk, near=Near())
    params = weights.open_model(anew, invitation(anew, 1).weights)
    return {name: array.tolist() for name, array in params.items()}


def test_a_model_of_the_spool_is_not_fetched_again(desk: Desk, fetched: list[str]) -> None:
    first = opened(desk)
    assert len(fetched) == 1
    assert opened(desk) == first
    assert len(fetched) == 1


@pytest.mark.parametrize("left", [0, 1, 1000, -1])
def test_a_model_that_a_power_cut_tore_is_fetched_again(
    desk: Desk, fetched: list[str], left: int
) -> None:
    first = opened(desk)
    path = kept(desk)
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[:left])
    assert opened(desk) == first
    assert len(fetched) == 2
    assert path.read_bytes() == whole


def test_a_model_in_use_outlives_its_file(desk: Desk) -> None:
    anew = replace(desk, near=Near())
    params = weights.open_model(anew, invitation(anew, 1).weights)
    before = {name: array.tolist() for name, array in params.items()}
    path = kept(desk)
    path.unlink()
    path.write_bytes(b"another file of that name")
    assert {name: array.tolist() for name, array in params.items()} == before
