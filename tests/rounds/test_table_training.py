"""Whole trainings on tables: the four hospitals as they lie, survival, and the model served."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import table_story as story
from safetensors.numpy import save_file

from fedcore.config import load_task_file
from fedcore.config.columns import layouts
from fedcore.config.task import TaskFile
from fedcore.data import open_cohort
from fedcore.encoding.scaling import federated_scaling
from fedcore.errors import DataError, ModelError
from fedcore.exchange import codec, keys
from fedcore.exchange.memory import MemoryStore
from fedcore.metrics import pool_any, read_scores
from fedcore.models.catalogue import build
from fedcore.models.predictor import Predictor, describe
from fedcore.params import digest
from fedcore.rounds.messages import PartyResult, line
from fedcore.simulation import World, simulate
from fedcore.statistics import read_columns
from fedcore.training.evaluation import evaluate

ROOT = Path(__file__).resolve().parents[2]
HOSPITALS = {"cleveland": 303, "hungarian": 261, "switzerland": 46, "va": 130}


def test_four_hospitals_train_as_they_lie_from_the_task_file_alone(shared_data, tmp_path):
    whole = load_task_file(ROOT / "configs" / "heart_disease.yaml").model_dump(mode="json")
    whole["federation"] |= {"epochs": 2, "local_steps": 30, "lr": 0.1}
    whole["training"]["threads"] = 1
    task = TaskFile.model_validate(whole)
    folders = {name: shared_data / "heart_disease" / f"processed.{name}.data" for name in HOSPITALS}
    outcome = simulate(task, folders, World(tmp_path))
    assert {name: array.shape for name, array in outcome.final.items()} == {
        "0.weight": (1, 13),
        "0.bias": (1,),
    }
    cohorts = {
        name: open_cohort(folder, task, tmp_path / "cache") for name, folder in folders.items()
    }
    assert {name: one.patients for name, one in cohorts.items()} == HOSPITALS
    known = {party: read_scores(one) for party, one in outcome.end.scores["final"].items() if one}
    assert known.keys() == HOSPITALS.keys()
    assert pool_any(known.values()).accuracy > 0.7


def survival_rows(count: int, seed: int) -> list[tuple[object, ...]]:
    """Patients of whom the old die sooner."""
    random = np.random.default_rng(seed)
    ages = random.normal(0, 1, count).round(3)
    times = np.ceil(random.exponential(20 * np.exp(-1.5 * ages))) + 1
    events = random.random(count) < 0.7
    return [
        (age, "i", int(time), int(event))
        for age, time, event in zip(ages, times, events, strict=True)
    ]


@pytest.fixture
def survival(tmp_path: Path) -> tuple[TaskFile, dict[str, Path]]:
    """A survival task and the folders of two hospitals."""
    task = story.task(
        time="days", event="dead", standardise="none", federation={"batch_size": 500, "epochs": 3}
    )
    header = "age,stage,days,dead"
    folders = {}
    for seed, party in enumerate(("1", "2")):
        rows = survival_rows(60, seed)
        folders[party] = story.write(tmp_path / party / "t.csv", rows, header).parent
    return task, folders


def test_survival_is_learned_and_told_by_its_concordance(survival, tmp_path):
    task, folders = survival
    outcome = simulate(task, folders, World(tmp_path / "world"))
    last = outcome.records[-1]
    assert (last.accuracy, last.auroc, last.train_accuracy) == (None, None, None)
    assert last.concordance > 0.7
    assert all(one.concordance is not None for one in last.parties.values())
    assert f"C-index: {last.concordance:.3f}" in line(last, task)
    assert outcome.final.keys() == {"0.weight"}
    assert outcome.records[0].loss > last.loss
    parties = {
        party: PartyResult(role=one.role, status="admitted") for party, one in last.parties.items()
    }
    withheld = last.model_copy(update={"concordance": None, "loss": None, "parties": parties})
    assert line(withheld, task).count("Loss: withheld | C-index: withheld") == 3
    best = max(outcome.records, key=lambda one: one.concordance)
    assert outcome.records[outcome.end.best_round - 1].concordance == best.concordance


def test_the_served_model_reads_columns_as_they_are(survival, tmp_path):
    task, folders = survival
    weights = simulate(task, folders, World(tmp_path / "world")).best
    save_file(weights, tmp_path / "w.safetensors")
    predictor = Predictor(describe(task), tmp_path / "w.safetensors")
    found = predictor.answers({"age": [1.0, "?", 0.5], "stage": ["ii", "i", "iv"]})
    wanted = weights["0.weight"][0] @ np.array([1, 0, 1, 0], np.float32)
    assert found[0, 0] == pytest.approx(wanted)
    assert np.isnan(found[1:]).all()
    with pytest.raises(ModelError, match="the column 'stage' is missing"):
        predictor.answers({"age": [1.0]})


def test_the_served_model_takes_encoded_inputs_where_the_hospital_standardises(tmp_path):
    task = story.task()
    save_file(
        {"0.weight": np.array([[1, 0, 0, 2]], np.float32), "0.bias": np.zeros(1, np.float32)},
        tmp_path / "w.safetensors",
    )
    predictor = Predictor(describe(task, ("well", "ill")), tmp_path / "w.safetensors")
    columns = dict(zip(task.data.table.inputs, [[1.0], [0.0], [0.0], [1.0]], strict=True))
    found = predictor.answers(columns)
    assert found.dtype == np.float32
    assert found[0, 1] == pytest.approx(1 / (1 + np.exp(-3)))
    assert found.sum() == pytest.approx(1)


@pytest.mark.parametrize("missing", ["", "?"])
def test_federated_standardisation_is_that_of_all_training_rows_together(tmp_path, missing):
    age = {"name": "age", "missing": "constant", "fill": 60}
    fields = {"features": [age, story.STAGE], "standardise": "federated", "ddof": 1}
    task = story.task(data={"classes": ["0", "1"]}, **fields)
    folders = {}
    for seed, party in enumerate(("1", "2")):
        rows = story.patients(30, seed)
        rows[0] = (missing, *rows[0][1:]) if missing else rows[0]
        folders[party] = story.write(tmp_path / party / "t.csv", rows).parent
    outcome = simulate(task, folders, World(tmp_path / "world"))
    told = {one["name"]: one for one in outcome.statistics.total}
    cohorts = {party: story.cohort(folder, task) for party, folder in folders.items()}
    raw = np.concatenate([one.train.inputs[:, 0] for one in cohorts.values()])
    known = np.concatenate(
        [
            one.train.inputs[:, 0][np.isfinite(column.values)]
            for one in cohorts.values()
            if (column := one.columns("full")[3])
        ]
    )
    assert told["column/age"]["mean"] == pytest.approx(known.mean())
    assert told["column/age"]["measured"] == len(known)
    summaries = read_columns(outcome.statistics.total, layouts(task, ("0", "1")), pooled=True)
    scaling, untold = federated_scaling(task.data.table, {one.name: one for one in summaries})
    assert untold == ()
    assert scaling.shifts.tolist() == pytest.approx([known.mean(), 0, 0, 0])
    assert scaling.divisors.tolist() == pytest.approx([known.std(ddof=1), 1, 1, 1])
    pooled = np.concatenate(
        [story.everything(one.train.scaled(scaling))[:, 0] for one in cohorts.values()]
    )
    assert pooled == pytest.approx((raw - known.mean()) / known.std(ddof=1), abs=1e-5)
    for party, one in cohorts.items():
        network = build(task.model, task.seed, inputs=task.inputs)
        found = evaluate(network, outcome.best, one.test.scaled(scaling), task)
        assert found.to_json() == outcome.end.scores["best"][party]


@pytest.mark.parametrize("ddof", [0, 1])
def test_one_hot_inputs_are_standardised_together_as_if_all_rows_lay_in_one_table(tmp_path, ddof):
    stage = {**story.STAGE, "drop_first": True}
    features = ["age", stage, {"name": "male", "kind": "binary", "categories": ["f", "m"]}]
    task = story.task(
        data={"classes": ["0", "1"]}, features=features, ddof=ddof,
        standardise="federated", standardise_columns="all",
    )  # fmt: skip
    folders = {}
    for seed, party in enumerate(("1", "2")):
        rows = [
            (*row[:2], "fm"[place % (seed + 2) > 0], row[2])
            for place, row in enumerate(story.patients(30 + seed, seed))
        ]
        file = story.write(tmp_path / party / "t.csv", rows, "age,stage,male,ill")
        folders[party] = file.parent
    outcome = simulate(task, folders, World(tmp_path / "world"))
    summaries = read_columns(outcome.statistics.total, layouts(task, ("0", "1")), pooled=True)
    scaling, untold = federated_scaling(task.data.table, {one.name: one for one in summaries})
    cohorts = [story.cohort(folder, task) for folder in folders.values()]
    pooled = np.concatenate([one.train.inputs for one in cohorts])
    assert untold == ()
    assert scaling.shifts == pytest.approx(pooled.mean(axis=0), rel=1e-12)
    assert scaling.divisors == pytest.approx(pooled.std(axis=0, ddof=ddof), rel=1e-12)


def test_a_category_that_few_patients_have_cannot_be_standardised_together(tmp_path):
    part = {"split": "column", "split_column": "part"}
    together = {"standardise": "federated", "standardise_columns": "all", **part}
    task = story.task(data={"classes": ["0", "1"], "min_reported": 3}, **together)
    rows = [(50 + place, "iii"[: 1 + place % 2], place % 2, "train") for place in range(40)]
    for party in ("1", "2"):
        rare = [(60.5, "iii", 1, "train")] if party == "1" else []
        story.write(tmp_path / party / "t.csv", [*rare, *rows], "age,stage,ill,part")
    folders = {party: tmp_path / party for party in ("1", "2")}
    said = "a party withholds how often a category occurs in the column 'stage', .* numeric, or"
    with pytest.raises(DataError, match=said):
        simulate(task, folders, World(tmp_path / "world"))


def test_a_column_that_nobody_may_tell_ends_the_training_with_a_sentence(tmp_path):
    task = story.task(data={"min_reported": 25, "classes": ["0", "1"]}, standardise="federated")
    folders = {
        party: story.write(tmp_path / party / "t.csv", story.patients(30, seed)).parent
        for seed, party in enumerate(("1", "2"))
    }
    with pytest.raises(DataError, match="no party may tell the mean of the column 'age'"):
        simulate(task, folders, World(tmp_path / "world"))


def test_fedbn_leaves_an_mlps_batch_norms_at_each_hospital(tmp_path):
    folders = {
        party: story.write(tmp_path / party / "t.csv", story.patients(41, seed)).parent
        for seed, party in enumerate(("1", "2"))
    }
    task = story.task(federation={"strategy": "fedbn", "batch_size": 20})
    model = {"name": "mlp", "hidden": [4], "norm": "batch"}
    task = TaskFile.model_validate({**task.model_dump(mode="json"), "model": model})
    outcome = simulate(task, folders, World(tmp_path / "world"))
    kept = {f"1.{part}" for part in ("weight", "bias", "running_mean", "running_var")}
    assert {*outcome.hellos["1"].kept_home} == {*kept, "1.num_batches_tracked"}
    assert (outcome.final["1.weight"] == 1).all()
    assert outcome.final["1.num_batches_tracked"] == 0
    spool = tmp_path / "world" / "spool"
    own = [codec.decode(path.read_bytes()) for path in sorted(spool.glob("*/*/home-00002.*"))]
    assert len(own) == 2
    assert digest(own[0]) != digest(own[1])
    train = story.cohort(folders["1"], task).train
    assert len(train) % 20 == 1  # a single row is left over, which BatchNorm cannot learn from
    assert own[0]["1.num_batches_tracked"] == 2 * (len(train) // 20)


@pytest.mark.parametrize("strategy", ["fedper", "fedrep"])
def test_a_strategy_that_leaves_nothing_of_the_network_to_share_is_refused(
    strategy, survival, tmp_path
):
    task, folders = survival
    federation = task.federation.model_copy(update={"strategy": strategy})
    alone = task.model_copy(update={"federation": federation})
    with pytest.raises(
        ModelError, match=rf"federation\.strategy is '{strategy}': it leaves nothing"
    ):
        simulate(alone, folders, World(tmp_path / "world"))


def test_a_network_for_tables_starts_from_weights_in_a_file(survival, tmp_path):
    task, folders = survival
    first = simulate(task, folders, World(tmp_path / "first"))
    path = tmp_path / "weights.safetensors"
    path.write_bytes(codec.encode(first.final))
    model = task.model.model_copy(update={"weights": str(path)})
    warm = task.model_copy(update={"model": model})
    store = MemoryStore()
    simulate(warm, folders, World(tmp_path / "second", store=store), run="warm", weights=path)
    begun = codec.decode(store.get(keys.model("warm", 0)))
    assert digest(begun) == digest(first.final)


def test_weights_that_nobody_hands_in_are_asked_for(tmp_path):
    whole = story.task().model_dump(mode="json")
    whole["model"]["weights"] = "start.safetensors"
    folder = story.write(tmp_path / "1" / "t.csv", story.patients()).parent
    with pytest.raises(ModelError, match=r"start.safetensors.*give its path as weights"):
        simulate(TaskFile.model_validate(whole), {"1": folder}, World(tmp_path / "world"))
