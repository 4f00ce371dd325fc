"""Settings of sharing in whole small trainings: what stays home stays; what is equal is equal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from failing_store import Failing
from rounds_story import task_file
from sharing_story import arrays_of, spooled
from worlds import bits, opened, stories, world

from fedcore.data.cohort import Cohort
from fedcore.errors import Unreachable
from fedcore.exchange.memory import MemoryStore
from fedcore.models.catalogue import build
from fedcore.models.sharing import home_names
from fedcore.models.state import to_params
from fedcore.params import digest
from fedcore.simulation import simulate_cohorts

KEPT = [
    {"strategy": "fedbn"},
    {"strategy": "fedper"},
    {"strategy": "fedrep", "head_epochs": 1},
    {"batch_norm": "local"},
]
NAMES = ["fedbn", "fedper", "fedrep", "local_batch_norm"]


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Cohort]:
    return opened(tmp_path_factory.mktemp("hospitals"))


@pytest.mark.parametrize("federation", KEPT, ids=NAMES)
def test_what_stays_home_never_appears_in_the_exchange(federation, cohorts, tmp_path) -> None:
    """Neither under its name in an update, nor by its bytes in any object."""
    task, place = task_file(**federation), world(tmp_path)
    simulate_cohorts(task, cohorts, place)
    fresh = to_params(build(task.model, task.seed))
    home = home_names(build(task.model, task.seed), task.federation)
    objects = arrays_of(place)
    updates = {key for key in objects if key.startswith("parties/") and "update" in key}
    assert len(updates) == 4
    assert all(home & objects[key].keys() == set() for key in updates)
    # Global models hold these names with the values that the guest drew before any training.
    for key in objects.keys() - updates:
        assert all(np.array_equal(objects[key][name], fresh[name]) for name in home)
    everything = b"".join(place.store.get(key) for key in place.store.keys(""))
    trained = [kept for party in "12" for kept in spooled(tmp_path, party, "home-*")]
    assert len(trained) == 4
    values = [array.tobytes() for kept in trained for array in kept.values() if array.size >= 2]
    assert values
    assert not any(value in everything for value in values)


@pytest.mark.parametrize("federation", KEPT[:3], ids=NAMES[:3])
def test_a_party_keeps_its_own_part_and_uses_it(federation, cohorts, tmp_path) -> None:
    outcome = simulate_cohorts(task_file(**federation), cohorts, world(tmp_path))
    ours, theirs = (spooled(tmp_path, party, "home-*")[-1] for party in "12")
    assert ours.keys() == theirs.keys() == set(outcome.hellos["1"].kept_home)
    assert digest(ours) != digest(theirs)


@pytest.mark.parametrize("federation", [{"strategy": "fedbn"}, {"strategy": "ditto"}])
def test_without_a_part_to_keep_the_global_model_is_fedavgs_to_the_bit(
    federation, cohorts, tmp_path, monkeypatch
) -> None:
    """FedBN on a network without norms; Ditto on any."""
    if federation["strategy"] == "fedbn":
        monkeypatch.setattr("fedcore.models.catalogue.cnn", _plain)
    plain = simulate_cohorts(task_file(), cohorts, world(tmp_path / "a"))
    same = simulate_cohorts(task_file(**federation), cohorts, world(tmp_path / "b"))
    assert bits(same) == bits(plain)


def _plain(channels: int, num_classes: int):
    """A network without norms."""
    from torch import nn  # noqa: PLC0415

    return nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, num_classes),
    )  # fmt: skip


@pytest.mark.parametrize(
    "federation",
    [
        {"strategy": "fedbn", "epochs": 1},
        {"strategy": "fedrep", "head_epochs": 1, "epochs": 1},
        {"strategy": "ditto", "epochs": 2},
        {"finetune_epochs": 1, "epochs": 1},
    ],
    ids=["fedbn", "fedrep", "ditto", "finetune"],
)
def test_a_training_stopped_at_every_write_ends_with_the_same_bits(
    federation, cohorts, tmp_path
) -> None:
    task = task_file(**federation)
    whole = simulate_cohorts(task, cohorts, world(tmp_path / "whole"))
    exchange, stops, outcome = MemoryStore(), 0, None
    while outcome is None:
        try:
            place = world(tmp_path / "cut", Failing(exchange, after=bool(stops % 2)))
            outcome = simulate_cohorts(task, cohorts, place)
        except Unreachable:
            stops += 1
    assert stops >= 8
    assert bits(outcome) == bits(whole)
    assert outcome.end.scores == whole.end.scores
    for kept in ("home-*", "personal-*"):
        for party in "12":
            ours = spooled(tmp_path / "cut", party, kept)
            theirs = spooled(tmp_path / "whole", party, kept)
            assert list(map(digest, ours)) == list(map(digest, theirs))


@pytest.mark.parametrize("fields", [KEPT[0], KEPT[2], {"strategy": "ditto"}])
def test_the_order_in_which_parties_are_named_changes_nothing(fields, cohorts, tmp_path) -> None:
    task = task_file(**{**fields, "epochs": 1})
    turned = dict(reversed(cohorts.items()))
    first = simulate_cohorts(task, cohorts, world(tmp_path / "a"), guest="1")
    second = simulate_cohorts(task, turned, world(tmp_path / "b"), guest="1")
    assert bits(first) == bits(second)
    assert first.end.scores == second.end.scores
    assert stories(first) == stories(second)


def test_ditto_scores_its_personal_models_beside_the_global_one(cohorts, tmp_path) -> None:
    place = world(tmp_path)
    outcome = simulate_cohorts(task_file(strategy="ditto", epochs=3), cohorts, place)
    last = outcome.records[-1]
    assert all(result.personal is not None for result in last.parties.values())
    assert last.personal.auroc > 0.9
    assert outcome.end.scores["personal"].keys() == {"1", "2"}
    assert all(outcome.end.scores["personal"].values())
    ours, theirs = (spooled(tmp_path, party, "personal-*")[-1] for party in "12")
    assert len({digest(ours), digest(theirs), digest(outcome.final)}) == 3


def test_a_personal_model_never_appears_in_the_exchange(cohorts, tmp_path) -> None:
    place = world(tmp_path)
    simulate_cohorts(task_file(strategy="ditto", batch_size=4), cohorts, place)
    everything = b"".join(place.store.get(key) for key in place.store.keys(""))
    kept = [one for party in "12" for one in spooled(tmp_path, party, "personal-*")]
    values = [array.tobytes() for one in kept for array in one.values() if array.size >= 2]
    assert values
    assert not any(value in everything for value in values)


def test_trainings_without_personal_models_say_nothing_of_them(cohorts, tmp_path) -> None:
    outcome = simulate_cohorts(task_file(epochs=1), cohorts, world(tmp_path))
    assert outcome.end.scores.keys() == {"best", "final"}
    assert outcome.records[0].personal is None


def test_a_strong_pull_keeps_the_personal_model_near_the_global_one(cohorts, tmp_path) -> None:
    """Each step of SGD shrinks the distance by 1 - lr * lam; a weak pull lets it grow."""
    apart = {}
    for lam in (0.0, 50.0):
        task = task_file(strategy="ditto", lam=lam, epochs=1, batch_size=4, local_epochs=4)
        task = task.model_copy(
            update={"training": task.training.model_copy(update={"optimizer": "sgd"})}
        )
        place = world(tmp_path / str(lam))
        simulate_cohorts(task, cohorts, place)
        start = next(a for key, a in arrays_of(place).items() if "00000/model" in key)
        (own,) = spooled(tmp_path / str(lam), "1", "personal-*")
        apart[lam] = np.sqrt(
            sum(float(np.sum((own[n] - start[n]) ** 2)) for n in own if n.endswith("weight"))
        )
    assert apart[50.0] < 0.5 * apart[0.0]


def test_fine_tuning_ends_in_a_model_of_the_partys_own(cohorts, tmp_path) -> None:
    plain = simulate_cohorts(task_file(epochs=1), cohorts, world(tmp_path / "plain"))
    outcome = simulate_cohorts(
        task_file(epochs=1, finetune_epochs=4), cohorts, world(tmp_path / "tuned")
    )
    assert bits(outcome) == bits(plain)
    assert outcome.end.scores.keys() == {"best", "final", "personal"}
    (ours,), (theirs,) = (spooled(tmp_path / "tuned", one, "personal-final*") for one in "12")
    assert len({digest(ours), digest(theirs), digest(outcome.best)}) == 3


def test_ditto_with_fine_tuning_is_one_personal_model_too_many() -> None:
    with pytest.raises(ValueError, match="ditto makes personal models already"):
        task_file(strategy="ditto", finetune_epochs=1)
