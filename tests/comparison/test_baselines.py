"""The baselines: what one party alone, and all data in one place, are trained on and tested on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import table_story
from hypothesis import given
from hypothesis import strategies as st
from modality_story import MODALITIES, crossmodal
from rounds_story import hospitals, task_file

from fedcore.baselines import OF_MANY, OF_ONE, Given, alone, local_only, pooled, train_alone
from fedcore.config.federation import FederationSection
from fedcore.data.cohort import open_cohort
from fedcore.data.images import ArrayImages
from fedcore.data.joined import JoinedImages, joined
from fedcore.errors import DataError, TaskFileError
from fedcore.metrics import Scores
from fedcore.params import digest
from fedcore.simulation import World

TASK = task_file(epochs=1)


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("baselines")
    return {
        party: open_cohort(place, TASK, folder / "state" / party)
        for party, place in hospitals(folder / "data").items()
    }


@pytest.fixture
def mixed(tmp_path):
    """A cross-modal task, and three parties of which the last has other images."""
    task = crossmodal(epochs=1)
    places = hospitals(tmp_path / "data", tuple(MODALITIES))
    opened = {
        party: open_cohort(place, task.seen_by(MODALITIES[party]), tmp_path / "state" / party)
        for party, place in places.items()
    }
    return task, opened


def images(first: int, count: int) -> ArrayImages:
    """Images that are told apart by their one pixel."""
    pixels = np.arange(first, first + count, dtype=np.uint8).reshape(-1, 1, 1, 1)
    return ArrayImages(pixels, pixels.ravel().astype(np.int64), count)


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=4),
    st.lists(st.integers(0, 15), max_size=20),
)
def test_joined_images_are_those_of_the_parts_one_after_the_other(sizes, wanted):
    starts = np.cumsum([0, *sizes])
    whole = JoinedImages([images(int(a), n) for a, n in zip(starts, sizes, strict=False)])
    assert len(whole) == whole.patients == sum(sizes)
    assert whole.labels.tolist() == list(range(sum(sizes)))
    indices = np.array([one for one in wanted if one < sum(sizes)], np.int64)
    assert whole.batch(indices).ravel().tolist() == indices.tolist()
    assert whole.batch(indices).shape == (len(indices), 1, 1, 1)


def test_the_union_counts_what_the_parties_have(cohorts):
    union = joined(cohorts)
    for split in ("train", "validation", "test"):
        parts = [getattr(one, split) for one in cohorts.values()]
        assert len(getattr(union, split)) == sum(map(len, parts))
        assert union.images[split] == {
            name: sum(one.images[split][name] for one in cohorts.values()) for name in union.classes
        }
    assert joined(dict(reversed(cohorts.items()))).contract_hash == union.contract_hash


def test_parties_that_name_their_classes_differently_are_not_joined(cohorts):
    changed = {**cohorts, "2": replace(cohorts["2"], classes=("ill", "well"))}
    with pytest.raises(DataError, match=r"party 2: .*data\.classes"):
        joined(changed)


def test_alone_nothing_of_a_federation_is_left_and_the_local_training_is_the_same():
    many = task_file(strategy="fedprox", mu=3, quorum=2, clip_norm=0.1, local_epochs=2)
    one, plain = alone(many), task_file(local_epochs=2)
    assert one == plain
    assert alone(one) == one


def test_every_field_of_a_federation_is_one_partys_or_of_many():
    assert sorted((*OF_ONE, *OF_MANY)) == sorted(FederationSection.model_fields)


def test_a_learning_rate_at_the_coordinator_changes_no_baseline():
    assert alone(task_file(strategy="fedavgm", server_lr=0.5, server_momentum=0.5)) == task_file()


def test_a_local_model_is_trained_at_home_and_tested_everywhere(cohorts, tmp_path):
    done = local_only(TASK, "2", cohorts, World(tmp_path))
    assert done.outcome.hellos.keys() == {"2"}
    assert done.outcome.hellos["2"].images == len(cohorts["2"].train)
    own = done.outcome.end.scores["best"]["2"]
    assert done.tests["2"].to_json() == Scores.from_json(own).to_json()
    assert done.tests["1"].images == len(cohorts["1"].test)


def test_pooled_trains_on_everybodys_images_and_is_tested_at_each_party(cohorts, tmp_path):
    done = pooled(TASK, cohorts, World(tmp_path))
    (hello,) = done.outcome.hellos.values()
    assert hello.images == sum(len(one.train) for one in cohorts.values())
    assert {party: one.images for party, one in done.tests.items()} == {
        party: len(one.test) for party, one in cohorts.items()
    }


def test_pooling_a_single_party_is_that_party_alone(cohorts, tmp_path):
    mine = {"2": cohorts["2"]}
    whole = train_alone(TASK, "2", joined(mine), World(tmp_path / "joined"))
    plain = train_alone(TASK, "2", cohorts["2"], World(tmp_path / "plain"))
    assert digest(whole.best) == digest(plain.best)


def test_scores_over_too_few_patients_are_withheld(cohorts, tmp_path):
    data = TASK.data.model_copy(update={"min_reported": 5})
    done = local_only(TASK.model_copy(update={"data": data}), "2", cohorts, World(tmp_path))
    assert len(cohorts["1"].test) < 5
    assert done.tests["1"] is None


def tables(folder, **fields):
    """A task for a table, and the cohorts of two parties whose patients differ in age."""
    task = table_story.task(data={"classes": ["0", "1"]}, **fields)
    opened = {}
    for seed, party in enumerate(("1", "2")):
        rows = [(age + 20 * seed, *rest) for age, *rest in table_story.patients(30, seed)]
        place = table_story.write(folder / task.data.table.standardise / party / "t.csv", rows)
        opened[party] = table_story.cohort(place, task)
    return task, opened


def by_hand(cohorts, owners):
    """Cohorts whose ages are standardised in numpy by the training rows of `owners`."""
    ages = np.concatenate([cohorts[one].train.inputs[:, 0] for one in owners])

    def standardised(rows):
        inputs = rows.inputs.copy()
        inputs[:, 0] = (inputs[:, 0] - ages.mean()) / ages.std()
        return replace(rows, inputs=inputs)

    splits = ("train", "validation", "test")
    return {
        party: replace(one, **{name: standardised(getattr(one, name)) for name in splits})
        for party, one in cohorts.items()
    }


def test_a_table_has_its_baselines_too(tmp_path):
    task, opened = tables(tmp_path)
    alone_at_1 = local_only(task, "1", opened, World(tmp_path / "alone"))
    together = pooled(task, opened, World(tmp_path / "pooled"))
    assert alone_at_1.tests.keys() == together.tests.keys() == {"1", "2"}
    assert together.outcome.hellos["pooled"].images == 28


def test_standardised_by_all_rows_pooled_means_all_rows_and_local_its_own(tmp_path):
    plain, raw = tables(tmp_path, standardise="none")
    task, opened = tables(tmp_path, standardise="federated", ddof=0)
    whole = pooled(task, opened, World(tmp_path / "pooled"))
    expected = train_alone(plain, "pooled", joined(by_hand(raw, "12")), World(tmp_path / "whole"))
    for name, array in expected.best.items():
        np.testing.assert_allclose(whole.outcome.best[name], array, rtol=1e-5, atol=1e-6)
    mine = local_only(task, "2", opened, World(tmp_path / "local"))
    expected = train_alone(plain, "2", by_hand(raw, "2")["2"], World(tmp_path / "own"))
    for name, array in expected.best.items():
        np.testing.assert_allclose(mine.outcome.best[name], array, rtol=1e-5, atol=1e-6)


def test_of_several_modalities_a_local_model_is_tested_where_its_own_is_and_nobody_pools(
    mixed, tmp_path
):
    task, cohorts = mixed
    given = Given(modalities=MODALITIES)
    done = local_only(task, "3", cohorts, World(tmp_path), given)
    assert {party for party, one in done.tests.items() if one} == {"3"}
    near = local_only(task, "1", cohorts, World(tmp_path / "near"), given)
    assert {party for party, one in near.tests.items() if one} == {"1", "2"}
    with pytest.raises(TaskFileError, match=r"model\.modalities .*nothing to pool"):
        pooled(task, cohorts, World(tmp_path / "no"), given)
