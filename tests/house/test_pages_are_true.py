"""What the pages say exists: commands, options, files, links; and their examples are read."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from pathlib import Path

import pytest
import typer
from pages import ROOT, Page, pages

from fedcore.config import load_party_file
from fedcore.config.task import parse_task_file
from fedcore.data.facts import REASONS
from fedcore.data.tables import read_table
from flows.cli import app

PAGES = pages()
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def options_of(words: list[str]) -> tuple[set[str], list[str]]:
    """The options of the command that `words` name, and the words that are no command."""
    command, rest = typer.main.get_command(app), words[1:]
    while rest and hasattr(command, "commands") and not rest[0].startswith("-"):
        command, rest = command.commands[rest[0]], rest[1:]
    known = {option for one in command.params for option in one.opts}
    return known | {"--help", "-h"}, rest


@every_page
def test_every_command_and_option_exists(page: Page):
    for words in page.commands("fedcore"):
        known, rest = options_of(words)
        assert {word.partition("=")[0] for word in rest if word.startswith("-")} <= known, words


def test_a_command_that_does_not_exist_is_noticed():
    page = Page(
        ROOT / "x.md", "Say `fedcore undo --all`.\n\n    fedcore train \\\n      --conf x\n"
    )
    train, undo = page.commands("fedcore")
    with pytest.raises(KeyError):
        options_of(undo)
    known, rest = options_of(train)
    assert "--conf" in rest
    assert "--conf" not in known


@every_page
def test_every_word_for_make_is_in_the_makefile(page: Page):
    words = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {command[1] for command in page.commands("make")} <= words


@every_page
def test_every_script_exists(page: Page):
    scripts = [words[1] for words in page.commands("python")]
    assert [name for name in scripts if not (ROOT / name).is_file()] == []


@every_page
def test_every_link_leads_somewhere(page: Page):
    for target in page.links():
        path, _, anchor = target.partition("#")
        there = (page.path.parent / path).resolve() if path else page.path
        assert there.exists(), target
        if anchor:
            assert anchor in Page(there, there.read_text("utf-8")).anchors(), target


@every_page
def test_every_file_that_is_named_exists(page: Page):
    assert [name for name in page.files() if not (ROOT / name).exists()] == []


@every_page
def test_task_files_that_are_shown_can_be_used(page: Page):
    for block in page.blocks("yaml"):
        parse_task_file(block, page.name)


@every_page
def test_party_files_that_are_shown_can_be_used(page: Page, tmp_path: Path):
    for block in page.blocks("json"):
        (tmp_path / "party.json").write_text(block)
        load_party_file(tmp_path / "party.json")


@every_page
def test_label_files_that_are_shown_can_be_used(page: Page, tmp_path: Path):
    for block in page.blocks("csv"):
        (tmp_path / "labels.csv").write_text(block)
        assert read_table(tmp_path / "labels.csv")


@every_page
def test_what_python_examples_import_exists(page: Page):
    for block in page.blocks("python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module or "")
                assert all(hasattr(module, alias.name) for alias in node.names)


def test_every_reason_of_the_quarantine_is_explained():
    text = (ROOT / "docs" / "data.md").read_text("utf-8")
    explained = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    conflicts = {"conflicting_label", "conflicting_patient", "conflicting_split"}
    assert explained == {*REASONS, *conflicts, "no_label", "duplicate"}


def test_the_tables_of_fields_are_those_of_the_code(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    fields = importlib.import_module("fields")
    sys.modules.pop("fields")
    for name in fields.PAGES:
        text = (ROOT / "docs" / name).read_text("utf-8")
        assert fields.filled(text) == text, f"run python docs/fields.py: docs/{name} is old"
        assert "| field |" in text


def test_pictures_are_small_and_shown():
    shown = {(page.path.parent / target).resolve() for page in PAGES for target in page.links()}
    for picture in (ROOT / "docs" / "pictures").iterdir():
        assert picture.stat().st_size < 300_000, picture.name
        assert picture in shown, picture.name
