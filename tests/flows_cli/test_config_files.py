"""The files in configs/: what is published works as it stands, and the full one is full."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator

import pytest
import yaml
from cli_story import ROOT

from fedcore.config import load_party_file, load_task_file
from fedcore.config.base import Section
from fedcore.config.party import parse_address
from fedcore.config.task import TaskFile
from fedcore.errors import PartyFileError

CONFIGS = ROOT / "configs"
FULL = CONFIGS / "federated_task_full.yaml"
FIELD = re.compile(r"\s*(?:# {1,3})?[a-z_]+:(\s.*|$)")


def sections(model: type[Section]) -> Iterator[type[Section]]:
    yield model
    for field in model.model_fields.values():
        for kind in (field.annotation, *typing.get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, Section):
                yield from sections(kind)


def names(content: object, before: str = "") -> set[str]:
    """Dotted names of all fields that are written out, sections included."""
    if not isinstance(content, dict):
        return {before}
    inner = set().union(*(names(value, f"{before}.{key}") for key, value in content.items()))
    return inner | {before}


def test_the_published_task_file_is_the_published_one():
    content = yaml.safe_load((CONFIGS / "federated_task.yaml").read_text())
    assert content == {
        "task_type": "classification",
        "model": {"name": "resnet18", "input_size": [3, 224, 224], "num_classes": 2},
        "federation": {"strategy": "fedavg", "epochs": 50, "batch_size": 32, "lr": 0.001},
    }


def test_the_full_task_file_says_the_defaults():
    full, short = load_task_file(FULL), load_task_file(CONFIGS / "federated_task.yaml")
    assert full.flat() == short.flat()


def test_the_full_task_file_has_every_field():
    written = yaml.safe_load(FULL.read_text())
    assert names(written) == names(load_task_file(FULL).model_dump(mode="json"))


def test_the_full_task_file_explains_every_field_in_its_own_words():
    text = FULL.read_text()
    fields = [line for line in text.splitlines()[2:] if FIELD.fullmatch(line)]
    assert all("  # " in line for line in fields)
    for section in sections(TaskFile):
        for name, field in section.model_fields.items():
            said = re.search(rf"^[ #-]*{name}:.*  # {re.escape(field.description)}$", text, re.M)
            assert said, f"{FULL.name}: {name} has not its description as comment"


@pytest.mark.parametrize("name", ["party_config.json", "party_config_three.json"])
def test_a_party_file_to_copy_asks_for_the_address(name):
    party_file = load_party_file(CONFIGS / name)
    assert party_file.guest.id == "9999"
    with pytest.raises(PartyFileError, match=f"{name}: address is "):
        parse_address(party_file.address(), CONFIGS / name)


def test_every_file_in_the_folder_can_be_read():
    for path in CONFIGS.glob("*_task*.yaml"):
        load_task_file(path)
    for path in CONFIGS.glob("*party*.json"):
        load_party_file(path)
