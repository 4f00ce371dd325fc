"""What a process has in memory: the newest, unchangeable, and never instead of a check."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rounds_story import task_file
from worlds import KnownKeys, bits, opened, stories, world

from fedcore.audit.ledger import Ledger
from fedcore.config.task import TaskFile
from fedcore.errors import FedcoreError
from fedcore.exchange import keys
from fedcore.exchange.folder import FolderStore
from fedcore.exchange.memory import MemoryStore
from fedcore.rounds.coordinator.forgetting import forget_models
from fedcore.rounds.identity import run_id
from fedcore.rounds.messages import ObjectRef
from fedcore.rounds.party import Near
from fedcore.rounds.selection import best_round
from fedcore.simulation import World, simulate_cohorts


def test_a_memory_of_0_models_keeps_nothing() -> None:
    near = Near()
    near.keep_model("a", {"weight": np.ones(2)})
    near.keep_update(Path("b"), "b", memoryview(b"update"))
    assert near.model("a") is None
    assert near.update(Path("b"), "b") is None


def test_the_newest_models_are_kept() -> None:
    near = Near(most=2)
    for name in "abc":
        near.keep_model(name, {"weight": np.ones(2)})
    assert [name for name in "abc" if near.model(name)] == ["b", "c"]


def test_an_update_is_kept_under_its_place_and_its_hash_until_it_is_forgotten() -> None:
    near = Near(most=1)
    for place in "ab":
        near.keep_update(Path(place), "hash", memoryview(place.encode()))
    near.forget_update(Path("b"))
    assert near.update(Path("a"), "hash") == b"a"
    assert near.update(Path("a"), "other") is None
    assert near.update(Path("b"), "hash") is None


def test_a_file_is_known_until_somebody_else_touches_it(tmp_path: Path) -> None:
    near, place = Near(), tmp_path / "update"
    assert not near.written(place, "hash")
    place.write_bytes(b"one")
    near.keep_written(place, "hash")
    assert near.written(place, "hash")
    assert not near.written(place, "other")
    (tmp_path / "new").write_bytes(b"two")
    (tmp_path / "new").replace(place)
    assert not near.written(place, "hash")
    near.keep_written(place, "hash")
    place.unlink()
    assert not near.written(place, "hash")


def test_a_kept_model_cannot_be_changed() -> None:
    near = Near(most=1)
    near.keep_model("a", {"weight": np.ones(2)})
    known = near.model("a")
    with pytest.raises(ValueError, match="read-only"):
        known["weight"][0] = 5
    known.clear()
    assert near.model("a").keys() == {"weight"}


def test_a_simulation_gives_the_same_bits_and_ledgers_without_a_memory(tmp_path: Path) -> None:
    cohorts, place = opened(tmp_path), world(tmp_path / "a")
    with_memory = simulate_cohorts(task_file(), cohorts, place)
    bare = KnownKeys(tmp_path / "b", MemoryStore(), world(tmp_path).watch, lambda: 0.0, near=Near())
    without = simulate_cohorts(task_file(), cohorts, bare)
    assert bits(with_memory) == bits(without)
    assert stories(with_memory) == stories(without)
    assert _fetched(tmp_path / "a") == set()
    assert _fetched(tmp_path / "b") == {"1", "2"}


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("cross_site", [False, True])
def test_a_simulation_that_forgets_keeps_no_updates_but_those_that_all_parties_score(
    cross_site: bool, folder: bool, tmp_path: Path
) -> None:
    of_folder = FolderStore(tmp_path / "exchange", lasting=False, keeps=False)
    store = of_folder if folder else MemoryStore(keeps=False)
    store.prepare()
    place = world(tmp_path / "a", store)
    asked = {**task_file(epochs=3).model_dump(), "evaluation": {"cross_site": cross_site}}
    outcome = simulate_cohorts(TaskFile.model_validate(asked), opened(tmp_path), place)
    run, parties = outcome.end.run, outcome.hellos
    sizes = [[place.store.size(keys.update(one, run, n)) for n in (1, 2, 3)] for one in parties]
    assert all(first == second == 0 for first, second, _ in sizes)
    assert all((third > 0) == cross_site for _, _, third in sizes)
    assert not list(tmp_path.rglob("update-*.safetensors"))


@pytest.mark.parametrize("cross_site", [False, True])
def test_a_simulation_that_forgets_keeps_the_newest_and_the_best_model_and_those_to_be_scored(
    cross_site: bool, tmp_path: Path
) -> None:
    place = world(tmp_path / "a", MemoryStore(keeps=False))
    asked = {**task_file(epochs=4).model_dump(), "evaluation": {"cross_site": cross_site}}
    outcome = simulate_cohorts(TaskFile.model_validate(asked), opened(tmp_path), place)
    needed = {outcome.end.best.key, outcome.end.final.key}
    there = {one.model.key for one in outcome.records if place.store.size(one.model.key)}
    assert there == ({one.model.key for one in outcome.records} if cross_site else needed)


@pytest.mark.parametrize(
    ("values", "there"),
    [
        ([0.5, 0.6, 0.7], [3]),
        ([0.7, 0.6, 0.5], [1, 3]),
        ([0.5, 0.7, 0.6, 0.7, 0.8, 0.1], [5, 6]),
        ([None, None, None], [3]),
        ([None, 0.5, None], [2, 3]),
        ([0.5, None, 0.6], [3]),
    ],
)
def test_of_models_the_best_and_the_newest_are_there_after_every_round(
    values: list[float | None], there: list[int], tmp_path: Path
) -> None:
    store = MemoryStore(keeps=False)
    done = []
    for number, value in enumerate(values, start=1):
        store.put_once(f"model-{number}", b"model")
        done.append(_Recorded(number, value))
        forget_models(done, "auroc", store.own)
        kept = {key for key in store.keys("") if store.size(key)}
        assert {f"model-{number}", best_round(done, "auroc").model.key} == kept
    assert kept == {f"model-{number}" for number in there}


class _Recorded:
    def __init__(self, number: int, auroc: float | None) -> None:
        self.round, self.auroc = number, auroc
        self.model = ObjectRef(key=f"model-{number}", sha256="0" * 64, size=5)


def test_a_simulation_in_a_folder_that_somebody_named_keeps_all_objects(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "exchange", lasting=False)
    store.prepare()
    outcome = simulate_cohorts(task_file(epochs=2), opened(tmp_path), world(tmp_path / "a", store))
    run, parties = outcome.end.run, outcome.hellos
    assert all(store.size(keys.update(one, run, n)) > 0 for one in parties for n in (1, 2))


def _fetched(folder: Path) -> set[str]:
    """The parties that fetched a global model into their spool."""
    return {path.parent.name for path in folder.rglob("model-*")}


@pytest.mark.parametrize("fails", [False, True])
def test_the_ledgers_of_a_simulation_in_memory_are_on_the_disk_when_it_ends(
    fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr(Ledger, "flush", lambda self: flushed.append(self.path))
    cohorts, place = opened(tmp_path), world(tmp_path / "a")
    if fails:
        place.store.put_once(keys.agreement(run_id(task_file(), cohorts)), b"somebody else's")
        with pytest.raises(FedcoreError):
            simulate_cohorts(task_file(), cohorts, place)
    else:
        simulate_cohorts(task_file(), cohorts, place)
    names = {"coordinator.jsonl", "party-1.jsonl", "party-2.jsonl"}
    assert {path.name for path in flushed} == names


def test_a_simulation_in_a_folder_for_now_gives_the_same_bits_ledgers_and_objects(
    tmp_path: Path,
) -> None:
    cohorts, outcomes = opened(tmp_path), []
    for lasting in (True, False):
        store = FolderStore(tmp_path / f"exchange-{lasting}", lasting=lasting)
        store.prepare()
        outcomes.append(
            (simulate_cohorts(task_file(), cohorts, _at(tmp_path, lasting, store)), store)
        )
    (kept, first), (passing, second) = outcomes
    assert bits(kept) == bits(passing)
    assert stories(kept) == stories(passing)
    assert first.keys() == second.keys()


def _at(folder: Path, lasting: bool, store: FolderStore) -> World:
    return KnownKeys(folder / f"world-{lasting}", store, world(folder).watch, lambda: 0.0)
