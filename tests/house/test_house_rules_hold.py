"""Every rule of the house, held against every file; a failure names each place and the rule."""

from __future__ import annotations

import statistics

import pytest
import rules_conduct as conduct
import rules_form as form
import rules_prefect as prefect
import rules_words as words
from house_sources import SOURCE, Rule, body_lines, functions, shown, sources, texts

EVERYWHERE = [form.module_docstring, form.file_length, form.function_length, conduct.global_state]
IN_SOURCE = [
    form.public_docstrings,
    form.one_door,
    conduct.broad_except,
    conduct.printing,
    conduct.asserting,
    conduct.private_reach,
    prefect.nothing_is_stored,
]
IN_FEDCORE = [conduct.out_of_the_air, words.one_word_for_one_thing]
IN_TESTS = [conduct.waiting_by_the_clock, conduct.left_out]
IN_TEXTS = [words.absolute_paths, words.unfinished, words.package_hosts]
HELD = [
    *[((*SOURCE, "tests"), rule) for rule in EVERYWHERE],
    *[(SOURCE, rule) for rule in IN_SOURCE],
    *[(("fedcore",), rule) for rule in IN_FEDCORE],
    *[(("tests",), rule) for rule in IN_TESTS],
]


@pytest.mark.parametrize(
    ("folders", "rule"), HELD, ids=lambda value: getattr(value, "__name__", "")
)
def test_the_rule_holds_in_every_file(folders: tuple[str, ...], rule: Rule):
    findings = [finding for source in sources(*folders) for finding in rule(source)]
    assert not findings, shown(findings)


@pytest.mark.parametrize("rule", IN_TEXTS, ids=lambda rule: rule.__name__)
def test_the_rule_holds_in_every_text(rule):
    findings = [finding for path, text in texts() for finding in rule(path, text)]
    assert not findings, shown(findings)


def test_no_packages_import_each_other_in_a_circle():
    assert form.package_circles(sources(*SOURCE)) == []


def test_functions_are_short():
    lengths = [
        lines
        for source in sources(*SOURCE)
        for function in functions(source.tree)
        if (lines := body_lines(function))
    ]
    assert statistics.median(lengths) <= 9
    assert statistics.quantiles(lengths, n=10)[-1] <= 28


def test_files_are_short():
    lengths = [len(source.text.splitlines()) for source in sources(*SOURCE)]
    assert statistics.median(lengths) <= 150
