"""Rules on words: one word for one thing, and nothing in the text that belongs elsewhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from house_sources import Finding, Source

# The word that somebody may be tempted to write -> the word of the house.
SYNONYMS = {
    "client": "party",
    "clients": "party",
    "collaborator": "party",
    "hospital": "party",
    "hospitals": "party",
    "participant": "party",
    "participants": "party",
    "silo": "party",
    "site": "party",
    "sites": "party",
    "aggregator": "coordinator",
    "orchestrator": "coordinator",
    "server": "coordinator",
    "servers": "coordinator",
    "node": "party",
    "nodes": "party",
    "broker": "exchange",
    "journal": "ledger",
}
# Where such a word is another library's own name for another thing.
OWN_WORDS = {
    "fedcore/config/federation.py": {"server"},  # the papers' word in server_lr, server_momentum
    "fedcore/config/evaluation.py": {"site"},  # cross-site evaluation, the field's name for it
    "fedcore/config/reading.py": {"node"},  # PyYAML's word for a piece of a file
    "fedcore/exchange/s3_line.py": {"client"},  # boto3's word for what sends its requests
    "fedcore/exchange/s3_calls.py": {"client"},
}
ABSOLUTE = re.compile(r"(?<![\w.$~}:/])/(home|work|root|Users|mnt)/[\w.-]+")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
HOSTS = re.compile(
    r"(pypi|pythonhosted|pytorch|anaconda|conda|quay|ghcr|docker|npmjs|registry|artifactory|nexus)"
    r"[\w-]*\.(org|io|com|net)\b|files\.python|--(extra-)?index-url|PIP_(EXTRA_)?INDEX",
    re.IGNORECASE,
)


def one_word_for_one_thing(source: Source) -> Iterator[Finding]:
    """Identifiers use the words of the house."""
    allowed = OWN_WORDS.get(source.path, set())
    for line, name in _defined_names(source.tree):
        for word in _words(name):
            if word in SYNONYMS and word not in allowed:
                said = f"{name}: the house says {SYNONYMS[word]!r}, not {word!r}"
                yield Finding(source.path, line, said)


def absolute_paths(path: str, text: str) -> Iterator[Finding]:
    """Nothing depends on the machine of whoever wrote it."""
    return _lines_with(ABSOLUTE, path, text, "an absolute path of one machine")


def unfinished(path: str, text: str) -> Iterator[Finding]:
    """What is not done is said where people look, not in the source."""
    return _lines_with(UNFINISHED, path, text, "unfinished work in the text")


def package_hosts(path: str, text: str) -> Iterator[Finding]:
    """Where packages come from is the installer's setting, not the project's."""
    return _lines_with(HOSTS, path, text, "the name of a package host")


def _lines_with(pattern: re.Pattern[str], path: str, text: str, rule: str) -> Iterator[Finding]:
    for number, line in enumerate(text.splitlines(), start=1):
        found = pattern.search(line)
        if found:
            yield Finding(path, number, f"{rule}: {found.group().strip()!r}")


def _defined_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Names that the file gives: functions, classes, arguments, variables, fields."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def _words(name: str) -> list[str]:
    """The words of a snake_case or CamelCase name, in small letters."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
