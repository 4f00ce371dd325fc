"""Each rule of the house finds what it is there for, at the right line, and nothing else."""

from __future__ import annotations

import pytest
import rules_conduct as conduct
import rules_form as form
import rules_prefect as prefect
import rules_words as words
from house_sources import Rule, Source

GOOD = '''"""A room."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np
from prefect import flow, task
from prefect.cache_policies import NO_CACHE


class Party:
    """One data holder."""

    def __init__(self, seed: int, clock: Callable[[], float] = time.time) -> None:
        self._draw = np.random.default_rng(seed)
        self._clock = clock

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Party) and self._clock is other._clock


@task(persist_result=False, cache_policy=NO_CACHE)
def ask(name: str, folder: str) -> str:
    """Do it."""
    try:
        return os.path.join(folder, name)
    except (KeyError, OSError) as missing:
        raise ValueError(name) from missing


@flow(persist_result=False)
def train() -> str:
    """Do it all."""
    return ask("a", "b")
'''
LONG = "def f():\n" + "    x = 1\n" * 46
BAD: list[tuple[Rule, str, int]] = [
    (form.module_docstring, "import os\n", 1),
    (form.public_docstrings, '"""A."""\ndef act():\n    return 1\n', 2),
    (form.public_docstrings, 'class A:\n    """A."""\n    def act(self):\n        return 1\n', 3),
    (form.one_door, "import os\nimport boto3\n", 2),
    (form.one_door, "from mlflow.tracking import MlflowClient\n", 1),
    (form.one_door, "def f():\n    from prefect import flow\n", 2),
    (form.function_length, LONG, 1),
    (form.file_length, "x = 1\n" * 301, 301),
    (conduct.broad_except, "try:\n    x = 1\nexcept:\n    pass\n", 3),
    (conduct.broad_except, "try:\n    x = 1\nexcept Exception:\n    pass\n", 3),
    (conduct.broad_except, "try:\n    x = 1\nexcept (OSError, BaseException):\n    pass\n", 3),
    (conduct.broad_except, "with contextlib.suppress(Exception):\n    x = 1\n", 1),
    (conduct.printing, "\nprint('x')\n", 2),
    (conduct.global_state, "def f():\n    global x\n", 2),
    (conduct.asserting, "assert True\n", 1),
    (conduct.private_reach, "from fedcore.params import _pairwise\n", 1),
    (conduct.private_reach, "from fedcore._hidden import act\n", 1),
    (conduct.private_reach, "other = make()\nother._secret = 1\n", 2),
    (conduct.out_of_the_air, "import time\nnow = time.time()\n", 2),
    (conduct.out_of_the_air, "import time\ntime.sleep(1)\n", 2),
    (conduct.out_of_the_air, "from time import monotonic\n", 1),
    (conduct.out_of_the_air, "now = datetime.now(UTC)\n", 1),
    (conduct.out_of_the_air, "now = datetime.datetime.utcnow()\n", 1),
    (conduct.out_of_the_air, "home = os.environ['HOME']\n", 1),
    (conduct.out_of_the_air, "home = os.getenv('HOME')\n", 1),
    (conduct.out_of_the_air, "from os import environ\n", 1),
    (conduct.out_of_the_air, "import random\n", 1),
    (conduct.out_of_the_air, "x = np.random.rand(3)\n", 1),
    (conduct.out_of_the_air, "x = np.random.default_rng()\n", 1),
    (conduct.waiting_by_the_clock, "import time\ntime.sleep(0.1)\n", 2),
    (conduct.waiting_by_the_clock, "while not done():\n    go()\nsleep(1)\n", 3),
    (conduct.left_out, "@pytest.mark.skip\ndef test_a(): ...\n", 1),
    (conduct.left_out, "@pytest.mark.xfail(strict=True)\ndef test_a(): ...\n", 1),
    (conduct.left_out, "torch = pytest.importorskip('torch')\n", 1),
    (words.one_word_for_one_thing, "def ask_client(name):\n    return name\n", 1),
    (words.one_word_for_one_thing, "class AggregatorSide:\n    pass\n", 1),
    (words.one_word_for_one_thing, "x = 1\ndef ask(server_id):\n    return 1\n", 2),
    (words.one_word_for_one_thing, "self.num_clients = 2\n", 1),
    (prefect.nothing_is_stored, "from prefect import task\n@task\ndef a(): ...\n", 2),
    (prefect.nothing_is_stored, "import prefect\n@prefect.flow\ndef a(): ...\n", 2),
    (prefect.nothing_is_stored, "from prefect import flow\n@flow(name='a')\ndef a(): ...\n", 2),
    (
        prefect.nothing_is_stored,
        "from prefect import task\n@task(persist_result=False)\ndef a(): ...\n",
        2,
    ),
    (
        prefect.nothing_is_stored,
        "from prefect import task as verb\ndoor = partial(verb, persist_result=False)\n",
        2,
    ),
    (prefect.nothing_is_stored, "a.with_options(persist_result=True)\n", 1),
]
TEXTS = [
    (words.absolute_paths, "path = '/home/me/data'"),
    (words.absolute_paths, "see /work/data"),
    (words.unfinished, "# TODO: later"),
    (words.unfinished, "FIXME"),
    (words.package_hosts, "pip install --index-url x"),
    (words.package_hosts, "https://pypi.org/simple"),
]
TEXTS_FINE = [
    "https://storage.example.org/home/x",
    "s3://bucket/work/of/others",
    "docker compose up",
    "$HOME/work/x",
]


@pytest.mark.parametrize(("rule", "text", "line"), BAD)
def test_the_rule_finds_the_bad_line(rule: Rule, text: str, line: int):
    found = list(rule(Source.of("fedcore/room.py", text)))
    assert [finding.line for finding in found] == [line]
    assert str(found[0]).startswith(f"fedcore/room.py:{line}: ")


@pytest.mark.parametrize("rule", dict.fromkeys(rule for rule, _, _ in BAD))
def test_the_rule_leaves_good_code_alone(rule: Rule):
    assert list(rule(Source.of("tasks/room.py", GOOD))) == []


@pytest.mark.parametrize(("rule", "text"), TEXTS)
def test_the_rule_finds_the_bad_text(rule, text: str):
    assert [finding.line for finding in rule("docs/page.md", f"fine\n{text}\n")] == [2]


@pytest.mark.parametrize("rule", dict.fromkeys(rule for rule, _ in TEXTS))
@pytest.mark.parametrize("text", TEXTS_FINE)
def test_the_rule_leaves_good_text_alone(rule, text: str):
    assert list(rule("docs/page.md", text)) == []


def test_the_terminal_may_print():
    assert list(conduct.printing(Source.of("flows/terminal.py", "print('x')\n"))) == []


def test_a_circle_of_packages_is_found_however_long_and_through_relative_imports():
    circle = [
        Source.of("fedcore/a/one.py", "from fedcore.b import x\n"),
        Source.of("fedcore/b/__init__.py", "from ..c.deep import y\n"),
        Source.of("fedcore/c/deep.py", "import fedcore.a.one\n"),
        Source.of("fedcore/d.py", "import fedcore.a\nimport os\n"),
    ]
    assert form.package_circles(circle) == [["fedcore.a", "fedcore.b", "fedcore.c"]]
    assert form.package_circles(circle[1:]) == []


def test_a_docstring_does_not_count_as_body():
    source = Source.of("a.py", 'def f():\n    """One.\n\n    Two.\n    """\n' + "    x = 1\n" * 45)
    assert list(form.function_length(source)) == []


def test_looking_again_after_a_while_is_waiting_for_a_condition():
    text = "import time\nwhile not done():\n    time.sleep(0.05)\n"
    assert list(conduct.waiting_by_the_clock(Source.of("tests/servers.py", text))) == []


def test_a_named_door_is_open_for_its_own_name_alone():
    door = "fedcore/training/reproducible.py"
    assert list(conduct.out_of_the_air(Source.of(door, "x = os.environ\n"))) == []
    assert len(list(conduct.out_of_the_air(Source.of(door, "x = time.time()\n")))) == 1
