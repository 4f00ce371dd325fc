"""The task file: every mistake in one sentence, the published form as is, one fingerprint."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from fedcore.config import TaskFile, load_task_file
from fedcore.config.task import differences, parse_task_file
from fedcore.errors import TaskFileError

PUBLISHED = """\
task_type: classification
model: {name: resnet18, input_size: [3, 224, 224], num_classes: 2}
federation: {strategy: fedavg, epochs: 50, batch_size: 32, lr: 0.001}
"""
GONE = object()
# Changed field, value -> what the sentence must name: the field, the value, the remedy.
MISTAKES = [
    ("task_type", GONE, "task_type is missing: add it (what is learned"),
    ("task_type", "regression", "task_type is 'regression': write 'classification'"),
    ("model", GONE, "model is missing: add it (which network"),
    ("model", "resnet18", "model is 'resnet18': write its fields, name, input_size"),
    ("model", None, "model is empty: write its fields, name, input_size"),
    ("model.name", 18, "model.name is 18: write text"),
    ("model.nam", "x", "model.nam is 'x': unknown field; did you mean 'name'? known: "),
    ("model.input_size", [3, 224], "model.input_size is [3, 224]: write all of its values (chan"),
    ("model.input_size", [3, 9, 9, 9], "model.input_size is [3, 9, 9, 9]: write 3 values (chan"),
    ("model.input_size", [2, 224, 224], "model.input_size is [2, 224, 224]: the first number is"),
    ("model.input_size", [3, 4, 224], "model.input_size is [3, 4, 224]: height and width must"),
    ("model.input_size", 224, "model.input_size is 224: write a list (channels"),
    ("model.input_size", [3, "a", 8], "model.input_size.1 is 'a': write a whole number (channels"),
    ("model.num_classes", 1, "model.num_classes is 1: write 2 or more (number of classes"),
    ("model.num_classes", 1001, "model.num_classes is 1001: write 1000 or less"),
    ("model.num_classes", 2.5, "model.num_classes is 2.5: write a whole number"),
    ("model.num_classes", True, "model.num_classes is True: true and false say nothing here"),
    ("federation.epochs", 0, "federation.epochs is 0: write 1 or more (number of rounds)"),
    ("federation.epochs", "many", "federation.epochs is 'many': write a whole number"),
    ("federation.epochs", 10**30, "federation.epochs is 1000000000000000000000000000000: write"),
    ("federation.epoch", 3, "federation.epoch is 3: unknown field; did you mean 'epochs'?"),
    ("federation.lr", 0, "federation.lr is 0: write a number above 0"),
    ("federation.lr", -0.1, "federation.lr is -0.1: write a number above 0"),
    ("federation.lr", 1000, "federation.lr is 1000: write 100.0 or less (learning rate"),
    ("federation.lr", "fast", "federation.lr is 'fast': write a number"),
    ("federation.lr", float("nan"), "federation.lr is nan: write a finite number"),
    ("federation.lr", float("inf"), "federation.lr is inf: write a finite number"),
    ("federation.lr", None, "federation.lr is empty: write a number"),
    ("federation.strategy", "fedavgg", "federation.strategy is 'fedavgg': no such strategy; did"),
    ("federation.weighting", "patient", "federation.weighting is 'patient': write 'patients', "),
    ("federation.batch_norm", "global", "federation.batch_norm is 'global': write 'average' or"),
    ("federation.select_by", "auc", "federation.select_by is 'auc': no such metric; did you mean"),
    ("federation.quorum", 0, "federation.quorum is 0: write 1 or more"),
    ("federation.clip_norm", 0, "federation.clip_norm is 0: write a number above 0"),
    ("federation.deadline", -1, "federation.deadline is -1: write a number above 0"),
    ("federation.early_stopping", 5, "federation.early_stopping is 5: write its fields, patience"),
    ("federation.early_stopping", {}, "federation.early_stopping.patience is missing: add it ("),
    (
        "federation.early_stopping",
        {"patienc": 3},
        "early_stopping.patienc is 3: unknown field; did",
    ),
    ("training.optimizer", "adamm", "training.optimizer is 'adamm': write 'sgd', 'adam' or 'adam"),
    ("training.momentum", 1.0, "training.momentum is 1.0: write a number below 1"),
    ("training", None, "training is empty: write its fields, optimizer"),
    ("data.require_all_classes", "perhaps", "data.require_all_classes is 'perhaps': write true or"),
    ("data.classes", "normal", "data.classes is 'normal': write a list (class names"),
    ("data.classes", [0, 1], "data.classes.0 is 0: write text, in quotes if it looks like a num"),
    ("data.classes", ["a"], "data.classes is ('a',): name 2 classes or change model.num_classes"),
    ("data.classes", ["a", "a"], "data.classes is ('a', 'a'): name each class once"),
    ("data.validation", 0.8, "data.validation is 0.8: leave more than 0.1 for training: test is"),
    ("data.labels", "attribute", "data.label_attribute is empty: give it together with labels: "),
    ("data.label_attribute", "Modality", "data.label_attribute is 'Modality': give it together"),
    ("name", "two words", "name is 'two words': write it in the form that is described here (nam"),
    ("seed", -1, "seed is -1: write 0 or more"),
    ("seed", True, "seed is True: true and false say nothing here"),
    ("sed", 1, "sed is 1: unknown field; did you mean 'seed'? known: "),
]
TEXTS = [
    ("", "the file holds no fields: write task_type, name"),
    ("- a\n", "the file holds no fields: write task_type, name"),
    ("a: [", "line 1, column 5 is no valid YAML: correct it"),
    ("a: b: c", "line 1, column 5 is no valid YAML: correct it"),
    ("!!python/object:os.system {}", "line 1, column 1 is no valid YAML: correct it"),
    ("a: 2020-13-45", "its text is no valid YAML: correct it"),
    ("a: \x00", "its text is no valid YAML: correct it"),
    ("[" * 5000, "its text is no valid YAML: correct it"),
    (PUBLISHED + "model: {num_classes: 3}\n", "model stands twice (line 4): keep one of the two"),
    (PUBLISHED + "training: {momentum: 0, momentum: 0.5}", "momentum stands twice (line 4): keep"),
]


def changed(field: str, value: object) -> str:
    """The published file with one field set, or gone."""
    content = yaml.safe_load(PUBLISHED)
    *before, last = field.split(".")
    section = content
    for name in before:
        section = section.setdefault(name, {})
    section[last] = value
    if value is GONE:
        del section[last]
    return yaml.safe_dump(content)


def refusal(text: str) -> str:
    with pytest.raises(TaskFileError) as refused:
        parse_task_file(text, "task.yaml")
    return str(refused.value)


@pytest.mark.parametrize(("field", "value", "sentence"), MISTAKES)
def test_a_mistake_is_one_sentence_with_file_field_value_and_remedy(field, value, sentence):
    said = refusal(changed(field, value))
    assert said.startswith("task.yaml: ")
    assert sentence in said
    assert "\n" not in said
    assert not re.search(r"[Ii]nput should|pydantic|Section|dictionary|tuple|NoneType", said)


@pytest.mark.parametrize(("text", "sentence"), TEXTS)
def test_a_text_that_is_no_task_file_is_one_sentence(text, sentence):
    assert refusal(text).startswith(f"task.yaml: {sentence}")


def test_further_faults_are_counted_and_a_mistyped_name_comes_first():
    text = PUBLISHED.replace("num_classes: 2", "num_classes: 0").replace("task_type", "tasktype")
    said = refusal(text)
    assert "tasktype is 'classification': unknown field; did you mean 'task_type'?" in said
    assert said.endswith("(and 2 more faults)")


def test_a_long_value_is_cut():
    assert len(refusal(changed("model.num_classes", "x" * 10_000))) < 250


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, "there is no such task file: check the path"),
        (lambda path: path.mkdir(), "this is a folder, not a task file: name the file in it"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "the task file is not UTF-8 text: save"),
        (lambda path: path.symlink_to(path), "the task file cannot be read ("),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path, make, sentence):
    path = tmp_path / "task.yaml"
    make(path)
    with pytest.raises(TaskFileError) as refused:
        load_task_file(path)
    assert str(refused.value).startswith(f"{path}: {sentence}")


def test_the_published_file_works_as_it_stands_and_the_rest_has_defaults(tmp_path: Path):
    path = tmp_path / "federated_task.yaml"
    path.write_text(PUBLISHED)
    task = load_task_file(path)
    assert task.model.name == "resnet18"
    assert task.model.input_size == (3, 224, 224)
    assert task.model.num_classes == 2
    assert task.federation.strategy == "fedavg"
    assert task.federation.epochs == 50
    assert task.federation.batch_size == 32
    assert task.federation.lr == 0.001
    assert task.federation.local_epochs == 1
    assert task.federation.quorum is None
    assert task.federation.batch_norm == "average"
    assert task.seed == 0


def test_a_file_saved_with_a_byte_order_mark_is_read(tmp_path: Path):
    (tmp_path / "task.yaml").write_text(PUBLISHED, encoding="utf-8-sig")
    assert load_task_file(tmp_path / "task.yaml") == parse_task_file(PUBLISHED, "")


def test_a_task_file_is_frozen():
    task = parse_task_file(PUBLISHED, "task.yaml")
    with pytest.raises(ValueError, match="frozen"):
        task.seed = 1


def test_every_field_says_what_it_means():
    def fields(section):
        for name, info in section.model_fields.items():
            yield f"{section.__name__}.{name}", info.description
            if hasattr(info.annotation, "model_fields"):
                yield from fields(info.annotation)

    assert [name for name, said in fields(TaskFile) if not said] == []


@pytest.mark.parametrize(
    "same",
    [
        "federation: {lr: 0.0010, batch_size: 32, epochs: 50, strategy: fedavg}\n"
        "model: {num_classes: 2, name: 'resnet18', input_size: [3, 224, 224]}\n"
        "task_type: classification\nseed: 0\n",
        PUBLISHED.replace("lr: 0.001", "lr: 1e-3"),
        PUBLISHED.replace("epochs: 50", "epochs: 50.0"),
        "# a remark\n" + PUBLISHED,
    ],
)
def test_the_same_meaning_has_the_same_fingerprint(same):
    one, other = parse_task_file(PUBLISHED, "a"), parse_task_file(same, "b")
    assert one.fingerprint() == other.fingerprint()
    assert differences(one.flat(), other.flat()) == []


OTHER_VALUES = {
    "name": st.from_regex(r"[a-z][a-z0-9]{0,10}", fullmatch=True),
    "seed": st.integers(0, 2**31 - 1),
    "model.name": st.sampled_from(["resnet18", "resnet34", "cnn"]),
    "model.input_size": st.tuples(
        st.sampled_from([1, 3]), st.integers(8, 2048), st.integers(8, 2048)
    ).map(list),
    "model.num_classes": st.integers(2, 1000),
    "model.weights": st.none() | st.text("abc/", min_size=1),
    "federation.strategy": st.sampled_from(["fedavg", "fedprox"]),
    "federation.epochs": st.integers(1, 100_000),
    "federation.lr": st.floats(1e-9, 100),
    "federation.local_steps": st.none() | st.integers(1, 1000),
    "federation.server_lr": st.none() | st.floats(1e-9, 10),
    "federation.weighting": st.sampled_from(["patients", "images", "equal"]),
    "federation.clip_norm": st.none() | st.floats(1e-6, 1e6),
    "federation.quorum": st.none() | st.integers(1, 100),
    "federation.early_stopping": st.none() | st.integers(1, 99).map(lambda n: {"patience": n}),
    "training.optimizer": st.sampled_from(["sgd", "adam", "adamw"]),
    "training.momentum": st.floats(0.01, 0.99),
    "training.schedule": st.sampled_from(["constant", "step", "cosine", "onecycle"]),
    "data.frame": st.sampled_from(["first", "middle", "last", "all"]),
    "data.validation": st.floats(0.01, 0.5),
    "data.require_all_classes": st.booleans(),
}


@given(st.sampled_from(sorted(OTHER_VALUES)), st.data())
def test_one_changed_field_changes_the_fingerprint_and_is_named(field, data):
    ours = parse_task_file(PUBLISHED, "a")
    theirs = parse_task_file(changed(field, data.draw(OTHER_VALUES[field])), "b")
    assert (ours.fingerprint() == theirs.fingerprint()) == (ours == theirs)
    assume(ours != theirs)
    named = differences(ours.flat(), theirs.flat())
    assert named
    assert all(one.startswith(field) and " here, " in one for one in named)


@given(st.dictionaries(st.sampled_from(sorted(OTHER_VALUES)), st.none(), max_size=6), st.data())
def test_the_file_as_run_says_the_same_as_the_file_as_written(fields, data):
    text = PUBLISHED
    content = yaml.safe_load(text)
    for field in fields:
        content = yaml.safe_load(text)
        *before, last = field.split(".")
        section = content
        for name in before:
            section = section.setdefault(name, {})
        section[last] = data.draw(OTHER_VALUES[field])
        text = yaml.safe_dump(content)
    task = parse_task_file(text, "a")
    again = parse_task_file(task.to_yaml(), "b")
    assert again == task
    assert again.fingerprint() == task.fingerprint()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    st.sampled_from(["", "model", "federation", "training", "data", "federation.early_stopping"]),
)
def test_whatever_stands_there_is_a_task_or_one_sentence(anything, place):
    text = changed(place, anything) if place else yaml.safe_dump(anything)
    said = "task.yaml: "
    try:
        parse_task_file(text, "task.yaml")
    except TaskFileError as refused:
        said = str(refused)
    assert said.startswith("task.yaml: ")
    assert "\n" not in said
