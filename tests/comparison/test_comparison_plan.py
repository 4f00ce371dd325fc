"""From what is typed to cells: names, settings, and every mistake in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from comparison_story import comparison
from modality_story import crossmodal
from rounds_story import task_file

from fedcore.comparison.plan import Comparison, arms_of
from fedcore.config.overriding import assignment, overridden
from fedcore.errors import DataError, InputError, TaskFileError
from flows.compare_plan import Wish, plan

CONTENT = task_file().model_dump(mode="json", exclude_unset=True)


def test_cells_come_seed_by_seed_with_the_baselines_after_the_strategies():
    names = [cell.name for cell in comparison().cells()]
    first = ["fedavg-0", "fedprox-0", "local-only@1-0", "local-only@2-0", "pooled-0"]
    assert names == [*first, *(name[:-1] + "1" for name in first)]


def test_without_baselines_only_the_strategies_train():
    cells = comparison(baselines=False).cells()
    assert {cell.kind for cell in cells} == {"federated"}


def test_a_cell_trains_by_its_arms_settings_at_its_seed():
    one = comparison("fedavg,fedprox:mu=0.5:local_epochs=2")
    cell = next(cell for cell in one.cells() if cell.arm.startswith("fedprox") and cell.seed == 1)
    task = one.task_of(cell)
    section = task.federation
    assert (task.seed, section.strategy, section.mu, section.local_epochs) == (1, "fedprox", 0.5, 2)
    assert cell.name == "fedprox-mu=0.5-local_epochs=2-1"
    assert task.data == one.task.data


def test_an_arm_leaves_out_what_the_task_file_says_for_another_strategy_alone():
    fields = {**CONTENT["federation"], "strategy": "fedprox", "mu": 0.5, "weighting": "images"}
    content = {**CONTENT, "federation": fields}
    kept, dropped, robust = arms_of(content, "fedprox,fedavg,median:hostile=2")
    assert (kept.task.federation.mu, dropped.task.federation.mu) == (0.5, 0.01)
    assert dropped.task.federation.weighting == "images"
    assert robust.task.federation.weighting == "patients"
    with pytest.raises(TaskFileError, match=r"mu is 1.0: it counts with fedprox alone, not with"):
        arms_of(content, "fedavg:mu=1")


def test_a_comparison_reads_as_it_was_written(tmp_path):
    one = comparison("fedavg,fedprox:mu=0.5")
    one.save(tmp_path)
    again = Comparison.load(tmp_path)
    assert again == one
    assert again.task.federation.model_fields_set == one.task.federation.model_fields_set


@pytest.mark.parametrize(
    ("strategies", "words"),
    [
        ("fedavgg", ["federation.strategy is 'fedavgg'", "did you mean 'fedavg'"]),
        ("fedprox:mu=-1", ["--strategies fedprox:mu=-1", "federation.mu is -1", "0 or more"]),
        ("fedprox:nu=1", ["federation.nu", "unknown field"]),
        ("fedprox:mu", ["FIELD=VALUE"]),
        ("fedavg,fedavg", ["each once"]),
        (" , ", ["name one strategy or more"]),
    ],
)
def test_strategies_that_cannot_be(strategies, words):
    with pytest.raises(InputError) as refused:
        arms_of(CONTENT, strategies)
    assert all(word in str(refused.value) for word in words), refused.value


def test_a_setting_is_read_as_yaml_and_changes_a_copy():
    assert assignment("training.class_weights=balanced", "--set")[1] == "balanced"
    assert assignment("model.input_size=[1, 8, 8]", "--set")[1] == [1, 8, 8]
    changed = overridden(CONTENT, "federation.early_stopping.patience", 3)
    assert changed["federation"]["early_stopping"] == {"patience": 3}
    assert "early_stopping" not in CONTENT["federation"]


def wish(folder: Path, **changes: object) -> Wish:
    """Two parties' folders and a task file in `folder`."""
    for party in ("1", "2"):
        (folder / "data" / party).mkdir(parents=True, exist_ok=True)
    (folder / "task.yaml").write_text(yaml.safe_dump(CONTENT))
    given = {"task": folder / "task.yaml", "data": folder / "data", "output": folder / "out"}
    return Wish(**{**given, **changes})


def test_a_plan_holds_for_all_arms_what_was_set(tmp_path):
    one = plan(wish(tmp_path, settings=("federation.lr=0.5", "seed=3"), seeds=2), {})
    assert one.seeds == (3, 4)
    assert [arm.name for arm in one.arms] == ["fedavg"]
    assert {arm.task.federation.lr for arm in one.arms} == {0.5}
    assert list(one.parties) == ["1", "2"]
    assert plan(wish(tmp_path), {}).run != one.run


def test_more_strategies_and_seeds_belong_to_the_same_comparison(tmp_path):
    more = wish(tmp_path, strategies="fedavg,fedprox", seeds=3)
    assert plan(more, {}).run == plan(wish(tmp_path), {}).run


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"settings": ("federation.epoch=1",)}, TaskFileError, "federation.epoch=1: federation"),
        ({"settings": ("epochs",)}, InputError, "--set is 'epochs'"),
        (
            {"settings": ("model.weights=exchange:a/b",)},
            InputError,
            "model.weights is 'exchange:a/b': a comparison has no exchange",
        ),
        ({"settings": ("seed=2147483647",), "seeds": 2}, InputError, "--seeds is 2"),
        ({"data": Path("nowhere")}, DataError, "nowhere: there is no such folder"),
    ],
)
def test_wishes_that_cannot_be(tmp_path, changes, error, words):
    with pytest.raises(error, match=words):
        plan(wish(tmp_path, **changes), {})


@pytest.mark.parametrize("name", ["no id", "average", "coordinator"])
def test_a_folder_whose_name_is_no_party_id(tmp_path, name):
    one = wish(tmp_path)
    (one.data / name).mkdir()
    with pytest.raises(DataError, match=name):
        plan(one, {})


def test_without_pooled_images_of_several_modalities_train_alone_and_together(tmp_path):
    one = plan(crossmodal_wish(tmp_path, "1=ct", "2=xray"), {})
    assert one.modalities == {"1": "ct", "2": "xray"}
    assert [cell.arm for cell in one.cells()] == ["fedavg", "local-only", "local-only"]
    assert one.rows == ("fedavg", "local-only")
    assert one.seen_task("2").model.input_size == (3, 24, 20)
    assert Comparison.load(one.save(tmp_path).parent) == one


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("1=ct",), "--modality is missing for party 2: .* --modality 2=... with one of ct, xray"),
        (("1=ct", "2=mr"), "--modality is '2=mr': .*for each of 1, 2, with one of ct, xray"),
        (("1=ct", "3=ct"), "--modality is '3=ct'"),
        (("1=ct", "2=ct", "1=xray"), "--modality is '1=xray'"),
        (("ct",), "--modality is 'ct'"),
    ],
)
def test_modalities_that_cannot_be(tmp_path, words, sentence):
    with pytest.raises(InputError, match=sentence):
        plan(crossmodal_wish(tmp_path, *words), {})


def test_a_modality_that_the_task_file_does_not_name_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"--modality is '1=ct'.*it names none"):
        plan(wish(tmp_path, modalities=("1=ct",)), {})


def test_a_stage_on_public_images_needs_their_folder_and_only_such_a_task_has_one(tmp_path):
    stage = ("pretrain.epochs=1",)
    with pytest.raises(InputError, match="--pretrain is missing: the task file has a pretrain"):
        plan(wish(tmp_path, settings=stage), {})
    with pytest.raises(InputError, match=r"--pretrain is .*nowhere.*a folder that exists"):
        plan(wish(tmp_path, settings=stage, public=tmp_path / "nowhere"), {})
    with pytest.raises(InputError, match=r"--pretrain is .*the task file has no pretrain section"):
        plan(wish(tmp_path, public=tmp_path), {})
    assert plan(wish(tmp_path, settings=stage, public=tmp_path), {}).public == str(tmp_path)


def crossmodal_wish(folder: Path, *words: str) -> Wish:
    """A wish with a task file of two modalities."""
    one = wish(folder, modalities=words)
    one.task.write_text(yaml.safe_dump(crossmodal().model_dump(mode="json", exclude_unset=True)))
    return one


def test_one_partys_folder_is_no_comparison(tmp_path):
    one = wish(tmp_path)
    (one.data / "2").rmdir()
    with pytest.raises(DataError, match=r"1 sub-folder: .*two parties"):
        plan(one, {})
