"""The section data.table: what it stands for, and each slip of the pen in one sentence."""

from __future__ import annotations

import pytest
import table_story as story
import yaml
from pydantic import ValidationError

from fedcore.config.cells import Rule, canonical
from fedcore.config.task import TaskFile, parse_task_file
from fedcore.errors import TaskFileError


def refusal(**fields) -> str:
    content = story.task().model_dump(mode="json")
    for field, value in fields.items():
        *before, last = field.split("__")
        place = content
        for name in before:
            place = place[name]
        place[last] = value
    with pytest.raises(TaskFileError) as refused:
        parse_task_file(yaml.safe_dump(content), "task.yaml")
    return str(refused.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"data__table__target": "num >"}, "write a column, or a rule"),
        ({"data__table__target": "num > high"}, "compares numbers"),
        ({"data__table__target": "age > 60"}, "the model may not see it"),
        ({"data__table__target": None}, "data.table.target is empty: name the class"),
        ({"data__table__features": []}, "name the columns that the model sees"),
        ({"data__table__features": ["age", "age"]}, "name each column once"),
        ({"data__table__features": ["x9..x1"]}, "is no span of columns"),
        (
            {"data__table__features": [{"name": "cp", "kind": "categorical"}]},
            "name every category that any party may have",
        ),
        (
            {"data__table__features": [{"name": "a", "kind": "binary", "categories": [True, 1]}]},
            "in quotes",
        ),
        (
            {"data__table__features": [{"name": "a", "missing": "constant"}]},
            "say in fill what stands in",
        ),
        (
            {"data__table__features": [{**story.STAGE, "missing": "mean"}]},
            "categories have no mean: write most_frequent",
        ),
        ({"data__table__missing": "median"}, "stage is categorical: give it a missing of its own"),
        ({"data__table__header": False}, "name the columns in columns"),
        ({"data__table__columns": ["age", "ill"]}, "columns has no 'stage'"),
        ({"data__table__split": "column"}, "data.table.split_column is empty"),
        ({"data__table__split_file": "s.csv"}, "give it together with split: file"),
        (
            {"data__table__standardise": "federated", "data__table__scaling": "min_max"},
            "scaling is 'min_max': no party tells its lowest and highest value: give age a range",
        ),
        ({"data__table__time": "days"}, "for task_type: survival alone"),
        ({"model__name": "resnet18"}, "tables take logistic or mlp"),
        ({"model__name": "mlp"}, "give the widths of the hidden layers"),
        ({"model__norm": "batch"}, "model.norm is 'batch': no hidden layer is there"),
        ({"model__dropout": 0.2}, "model.dropout is 0.2: no hidden layer is there"),
        ({"training__augment": "flip"}, "it changes images: leave it out for a table"),
        ({"model__norm": "layer"}, "write none, or take mlp with model.hidden"),
        ({"model__num_classes": 3, "data__table__target": "n > 0"}, "a rule is true or false"),
        (
            {"federation__select_by": "concordance"},
            "write auroc, auprc, accuracy, balanced_accuracy, f1 or loss",
        ),
        ({"task_type": "survival"}, "survival needs it"),
        ({"training__ties": "breslow"}, "it is for task_type: survival alone: leave it out"),
        ({"data__table": None}, "it learns from a table: add data.table"),
    ],
)
def test_what_does_not_fit_is_one_sentence(fields, said):
    sentence = refusal(**fields)
    assert said in sentence
    assert sentence.startswith("task.yaml: ")


def test_the_inputs_follow_from_the_section_alone():
    section = story.section(
        features=[
            "age",
            {**story.STAGE, "drop_first": True},
            {"name": "sex", "kind": "binary", "missing": "indicator"},
            "x0..x2",
        ]
    )
    assert section.inputs == (
        *("age", "stage=ii", "stage=iii", "sex", "sex missing"),
        *("x0", "x1", "x2"),
    )


def test_columns_without_features_are_features_but_for_what_is_named_otherwise():
    section = story.section(
        features=None,
        header=False,
        columns=["id", "a", "b", "c", "ill"],
        id="id",
        target="ill > 0",
        drop=["c"],
    )
    assert section.inputs == ("a", "b")


@pytest.mark.parametrize(
    ("field", "value"),
    [("class_weights", "balanced"), ("label_smoothing", 0.1), ("focal_gamma", 2.0)],
)
def test_survival_refuses_what_its_loss_would_leave_aside(field, value):
    content = story.task(time="days", event="dead").model_dump(mode="json")
    content["training"][field] = value
    with pytest.raises(TaskFileError, match=f"training.{field} is .*: it is for classes"):
        parse_task_file(yaml.safe_dump(content), "task.yaml")


def test_survival_is_selected_by_concordance_unless_it_says_else():
    fields = {"time": "days", "event": "dead"}
    assert story.task(**fields).federation.select_by == "concordance"
    assert story.task(**fields, federation={"select_by": "loss"}).federation.select_by == "loss"


@pytest.mark.parametrize(
    ("rule", "cell", "holds"),
    [
        ("num > 0", "1.0", True),
        ("num > 0", "0", False),
        ("num > 0", "high", None),
        ("num >= 2", "2", True),
        ("a b == 1", "1.0", True),
        ("state != dead", "dead", False),
        ("state in {dead, relapsed}", "relapsed", True),
        ("n in [1, 2]", "2.0", True),
        ("n not in (1, 2)", "2.0", False),
    ],
)
def test_a_rule_is_true_or_false_of_a_cell(rule, cell, holds):
    assert Rule.read(rule).holds(cell) is holds


@pytest.mark.parametrize(("text", "one"), [("1.0", "1"), (" 01", "1"), (".7", "0.7"), ("x", "x")])
def test_one_value_has_one_text(text, one):
    assert canonical(text) == one


@pytest.mark.parametrize(("split", "refused"), [("exact", True), ("hash", True), ("file", False)])
def test_early_stopping_is_refused_where_certainly_nobody_validates(split, refused):
    more = {"split_file": "splits.csv"} if split == "file" else {}
    early = {"early_stopping": {"patience": 2}}

    def build():
        return story.task({"validation": 0.0}, early, split=split, **more)

    if refused:
        with pytest.raises(ValidationError, match="early_stopping goes by validation scores"):
            build()
    else:
        assert build().federation.early_stopping.patience == 2
    assert story.task({"validation": 0.0}, split=split, **more).federation.early_stopping is None


def test_images_may_lie_in_folders_of_splits_so_early_stopping_is_refused_for_attributes_alone():
    content = {
        "task_type": "classification",
        "model": {"name": "cnn"},
        "federation": {"early_stopping": {"patience": 2}},
        "data": {"validation": 0.0},
    }
    assert not TaskFile.model_validate(content).data.never_validates
    content["data"] |= {"labels": "attribute", "label_attribute": "BodyPartExamined"}
    with pytest.raises(ValidationError, match="write a share above 0"):
        TaskFile.model_validate(content)
