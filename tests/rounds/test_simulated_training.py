"""Whole small trainings in one process: reproducible, resumable at every write, private."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from failing_store import Failing
from rounds_story import hospitals, task_file, write_pictures
from worlds import bits, opened, stories, world

from fedcore.data.cohort import Cohort, open_cohort
from fedcore.errors import (
    ContractBroken,
    DataError,
    ModelError,
    RunMismatch,
    TaskFileError,
    Unreachable,
)
from fedcore.exchange import codec, keys
from fedcore.exchange.memory import MemoryStore
from fedcore.models.catalogue import build
from fedcore.models.state import to_params
from fedcore.params import digest
from fedcore.rounds.messages import line
from fedcore.simulation import World, simulate, simulate_cohorts


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Cohort]:
    return opened(tmp_path_factory.mktemp("hospitals"))


@pytest.mark.parametrize(
    "federation",
    [
        {},
        {"strategy": "fedprox", "mu": 0.1},
        {"local_steps": 3},
        {"batch_norm": "local"},
        {"strategy": "scaffold", "control": "option_1", "batch_norm": "local"},
    ],
    ids=["fedavg", "fedprox", "local_steps", "local_batch_norm", "scaffold"],
)
def test_the_same_task_data_and_seed_give_the_same_bits_and_ledgers(
    federation, cohorts, tmp_path
) -> None:
    task = task_file(**federation)
    first = simulate_cohorts(task, cohorts, world(tmp_path / "a"))
    second = simulate_cohorts(task, cohorts, world(tmp_path / "b"))
    assert bits(first) == bits(second)
    assert stories(first) == stories(second)


def test_fedprox_with_mu_0_is_fedavg_to_the_bit(cohorts, tmp_path) -> None:
    plain = simulate_cohorts(task_file(), cohorts, world(tmp_path / "a"))
    proximal = simulate_cohorts(
        task_file(strategy="fedprox", mu=0.0), cohorts, world(tmp_path / "b")
    )
    assert bits(plain) == bits(proximal)


def test_another_seed_gives_another_model(cohorts, tmp_path) -> None:
    task = task_file()
    other = task.model_copy(update={"seed": 1})
    first = simulate_cohorts(task, cohorts, world(tmp_path / "a"))
    assert bits(first) != bits(simulate_cohorts(other, cohorts, world(tmp_path / "b")))


CARRYING = {"optimizer_state": "kept", "loader": "continuing", "max_grad_norm": 1.0}


@pytest.mark.parametrize(
    ("strategy", "training", "after"),
    [
        ("fedavg", {}, False),
        ("fedavg", {}, True),
        ("fedavg", CARRYING, False),
        ("fedavg", CARRYING, True),
        ("scaffold", {}, False),
        ("fedadam", {}, True),
    ],
    ids=[
        "before a write",
        "after it",
        "carrying, before a write",
        "carrying, after it",
        "scaffold before a write",
        "fedadam after it",
    ],
)
def test_a_training_stopped_at_every_single_write_ends_with_the_same_bits(
    strategy, training, after, cohorts, tmp_path
) -> None:
    task = task_file(strategy=strategy, **({"local_steps": 3} if training else {}))
    task = task.model_copy(update={"training": task.training.model_copy(update=training)})
    whole = simulate_cohorts(task, cohorts, world(tmp_path / "whole"))
    exchange, stops, outcome = MemoryStore(), 0, None
    while outcome is None:
        failing = Failing(exchange, after=after)
        try:
            outcome = simulate_cohorts(task, cohorts, world(tmp_path / "cut", failing))
        except Unreachable:
            stops += 1
    assert stops >= len(exchange.keys()) // 2 >= 12
    assert bits(outcome) == bits(whole)
    ours, theirs = stories(outcome), stories(whole)
    assert {owner: sorted(map(str, ours[owner])) for owner in ours} == {
        owner: sorted(map(str, theirs[owner])) for owner in theirs
    }


def test_running_a_finished_training_again_changes_nothing(cohorts, tmp_path) -> None:
    place = world(tmp_path)
    first = simulate_cohorts(task_file(), cohorts, place)
    before = place.store.keys()
    assert bits(simulate_cohorts(task_file(), cohorts, place)) == bits(first)
    assert place.store.keys() == before


def test_batch_norm_kept_local_never_leaves_a_party(cohorts, tmp_path) -> None:
    place = world(tmp_path)
    outcome = simulate_cohorts(task_file(batch_norm="local"), cohorts, place)
    updates = [key for key in place.store.keys("") if key.endswith("update.safetensors")]
    names = {name for key in updates for name in codec.decode(place.store.get(key))}
    assert len(updates) == 4
    assert names
    assert not any("running_" in name or "num_batches" in name for name in names)
    fresh = to_params(build(task_file().model, 0))
    kept = [name for name in fresh if "running_mean" in name]
    assert all(np.array_equal(outcome.final[name], fresh[name]) for name in kept)


def test_nothing_that_names_a_patient_or_a_file_enters_the_exchange(cohorts, tmp_path) -> None:
    place = world(tmp_path)
    simulate_cohorts(task_file(), cohorts, place)
    everything = b"".join(place.store.get(key) for key in place.store.keys(""))
    assert b"patient0x" not in everything
    assert b".png" not in everything
    assert str(tmp_path).encode() not in everything


def test_the_ledger_of_a_party_names_every_object_of_its_that_is_in_the_exchange(
    cohorts, tmp_path
) -> None:
    place = world(tmp_path)
    outcome = simulate_cohorts(task_file(), cohorts, place)
    left = [one["key"] for kind, one in outcome.ledgers["party-1"].story() if kind == "left"]
    assert sorted(left) == place.store.keys("parties/1/")


def test_data_that_changed_since_the_training_began_is_noticed(cohorts, tmp_path) -> None:
    place = world(tmp_path)
    simulate_cohorts(task_file(), cohorts, place)
    changed = {**cohorts, "2": replace(cohorts["2"], contract_hash="0" * 64)}
    with pytest.raises(RunMismatch, match="host-2: the data changed"):
        simulate_cohorts(task_file(), changed, place)


def test_parties_that_name_their_classes_differently_are_told_so(cohorts, tmp_path) -> None:
    changed = {**cohorts, "2": replace(cohorts["2"], classes=("ill", "well"))}
    with pytest.raises(RunMismatch, match=r"host-2.*'ill'.*data\.classes"):
        simulate_cohorts(task_file(), changed, world(tmp_path))


def test_early_stopping_ends_the_training_and_names_the_best_round(cohorts, tmp_path) -> None:
    # No metric can improve by more than 1, so every round is one without improvement.
    task = task_file(epochs=30, early_stopping={"patience": 2, "min_delta": 1})
    outcome = simulate_cohorts(task, cohorts, world(tmp_path))
    assert outcome.end.reason.startswith("stopped early")
    values = [record.auroc for record in outcome.records]
    assert outcome.end.best_round == 1 + values.index(max(values))
    assert len(outcome.records) == 3


def test_the_line_of_a_round_is_in_the_words_of_the_field(cohorts, tmp_path) -> None:
    task = task_file()
    outcome = simulate_cohorts(task, cohorts, world(tmp_path))
    number = r"\d\.\d{3} \| Acc: \d+\.\d%"
    text = line(outcome.records[0], task)
    expected = rf"Epoch 1/2 - Guest Loss: {number} - Host Loss: {number} - Federated Loss: {number}"
    assert re.fullmatch(expected, text)


def test_metrics_over_too_few_patients_stay_at_the_hospital(cohorts, tmp_path) -> None:
    task = task_file()
    data = task.data.model_copy(update={"min_reported": 1000})
    place = world(tmp_path)
    outcome = simulate_cohorts(task.model_copy(update={"data": data}), cohorts, place)
    assert outcome.records[-1].accuracy is None
    assert outcome.records[-1].train_loss is None
    assert "withheld" in line(outcome.records[-1], task)
    scores = [key for key in place.store.keys("") if key.endswith("score.json")]
    assert scores
    assert all(b"confusion" not in place.store.get(key) for key in scores)


def test_the_federation_learns_what_its_parties_know(cohorts, tmp_path) -> None:
    outcome = simulate_cohorts(task_file(epochs=4), cohorts, world(tmp_path))
    assert outcome.records[-1].accuracy > 0.9


def test_an_update_is_clipped_to_the_agreed_norm(cohorts, tmp_path) -> None:
    place = world(tmp_path)
    simulate_cohorts(task_file(clip_norm=0.05), cohorts, place)
    update = codec.decode(place.store.get(keys.update("1", _run(place), 1)))
    floats = [array for array in update.values() if array.dtype == np.float32]
    total = np.sqrt(sum(float((array.astype(np.float64) ** 2).sum()) for array in floats))
    assert total == pytest.approx(0.05, rel=1e-4)


def test_a_party_whose_data_breaks_the_contract_says_so_before_any_training(tmp_path) -> None:
    data = write_pictures(tmp_path / "few", patients=2)
    with pytest.raises(DataError, match="min_patients"):
        open_cohort(data, task_file(), tmp_path / "state")


def test_a_quorum_that_the_parties_cannot_reach_is_refused_at_once(cohorts, tmp_path) -> None:
    with pytest.raises(TaskFileError, match=r"federation\.quorum is 3.*2 parties"):
        simulate_cohorts(task_file(quorum=3), cohorts, world(tmp_path))


def _run(place: World) -> str:
    return place.store.keys("coordinator/")[0].split("/")[1]


def test_a_training_starts_from_weights_that_lie_in_the_exchange(cohorts, tmp_path) -> None:
    place = world(tmp_path)
    weights = to_params(build(task_file().model, 77))
    place.store.put_once("weights/start.safetensors", codec.encode(weights))
    task = task_file(epochs=1)
    section = task.model.model_copy(update={"weights": "exchange:weights/start.safetensors"})
    simulate_cohorts(task.model_copy(update={"model": section}), cohorts, place)
    start = codec.decode(place.store.get(keys.model(_run(place), 0)))
    assert digest(start) == digest(weights)


def test_weights_that_are_not_in_the_exchange_are_missed_in_one_sentence(cohorts, tmp_path) -> None:
    task = task_file()
    section = task.model.model_copy(update={"weights": "exchange:nowhere"})
    with pytest.raises(ModelError, match=r"model\.weights is 'exchange:nowhere'"):
        simulate_cohorts(task.model_copy(update={"model": section}), cohorts, world(tmp_path))


def test_batch_norm_kept_local_is_in_the_model_that_the_hospital_keeps(cohorts, tmp_path) -> None:
    place = world(tmp_path)
    task = task_file(batch_norm="local")
    outcome = simulate_cohorts(task, cohorts, place)
    home = sorted((tmp_path / "spool").rglob("1/home-*"))[-1]
    kept = codec.decode(home.read_bytes())
    assert any("running_mean" in name for name in kept)
    assert not any(
        np.array_equal(kept[name], outcome.final[name]) for name in kept if "mean" in name
    )


def test_data_that_cannot_be_used_name_the_party(tmp_path) -> None:
    folders = hospitals(tmp_path / "data")
    for path in list((folders["2"] / "NORMAL").iterdir()):
        path.unlink()
    with pytest.raises(DataError, match=r"^party 2: .*classes is 'PNEUMONIA'"):
        simulate(task_file(), folders, World(tmp_path / "world"))
    demanding = task_file().data.model_copy(update={"min_patients": 1000})
    task = task_file().model_copy(update={"data": demanding})
    with pytest.raises(ContractBroken, match=r"^party 1: .*min_patients"):
        simulate(task, folders, World(tmp_path / "second"))
