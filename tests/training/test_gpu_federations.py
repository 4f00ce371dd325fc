"""Whole small trainings on a GPU, of every kind; collected where one is usable."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import table_story
import torch
from rounds_story import hospitals, task_file
from worlds import bits, opened, world

from fedcore.data.cohort import Cohort
from fedcore.simulation import simulate, simulate_cohorts

ON_GPU = {"device": "cuda", "augment": "flip"}


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Cohort]:
    return opened(tmp_path_factory.mktemp("hospitals"))


@pytest.fixture(autouse=True)
def used():
    """Each of these trainings computes on the GPU."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    yield
    assert torch.cuda.max_memory_allocated() > before


@pytest.mark.parametrize(
    "federation",
    [
        {},
        {"strategy": "fedprox", "mu": 0.1},
        {"strategy": "scaffold", "control": "option_1"},
        {"strategy": "scaffold", "control": "option_2"},
        {"strategy": "fednova"},
        {"strategy": "fedadam"},
        {"strategy": "fedbn"},
        {"strategy": "fedper"},
        {"strategy": "fedrep", "head_epochs": 1},
        {"strategy": "ditto"},
        {"finetune_epochs": 1},
        {"batch_norm": "local"},
    ],
    ids=lambda federation: "-".join(map(str, federation.values())) or "fedavg",
)
def test_a_federation_gives_the_same_bits_again(federation, cohorts, tmp_path):
    task = task_file(ON_GPU, **federation)
    first = simulate_cohorts(task, cohorts, world(tmp_path / "a"))
    assert all(np.isfinite(one).all() for one in first.final.values())
    second = simulate_cohorts(task, cohorts, world(tmp_path / "b"))
    assert bits(first) == bits(second)


def test_each_party_normalises_by_its_own_pixels_there(tmp_path):
    content = task_file(ON_GPU).model_dump(mode="json")
    content["data"]["normalize"] = "own"
    task = type(task_file()).model_validate(content)
    outcome = simulate(task, hospitals(tmp_path / "data"), world(tmp_path / "w"))
    assert all(np.isfinite(one).all() for one in outcome.final.values())


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"model": {"name": "mlp", "hidden": [8], "dropout": 0.2, "norm": "batch"}},
        {"time": "days", "event": "ill"},
    ],
    ids=["logistic", "mlp", "cox"],
)
def test_tables_are_learned_there(fields, tmp_path):
    model = fields.pop("model", None)
    task = table_story.task(**fields)
    content = task.model_dump(mode="json") | ({"model": model} if model else {})
    content["training"]["device"] = "cuda"
    task = type(task).model_validate(content)
    names = "age,stage,ill" + (",days" if "time" in fields else "")
    folders = {}
    for number, party in enumerate(("1", "2")):
        found = table_story.patients(seed=number)
        rows = [(*row, 1 + place % 9) for place, row in enumerate(found)] if fields else found
        folders[party] = table_story.write(tmp_path / party / "table.csv", rows, names).parent
    first = simulate(task, folders, world(tmp_path / "a"))
    second = simulate(task, folders, world(tmp_path / "b"))
    assert bits(first) == bits(second)
    assert all(np.isfinite(one).all() for one in first.final.values())
