"""Rules on form: docstrings, lengths, one door to each big library, no circles of packages."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from house_sources import Definition, Finding, Source, body_lines, functions, imported_modules

LONGEST_FUNCTION = 45
LONGEST_FILE = 300
# Library -> where the paths begin of the files that may import it.
DOORS = {
    # s3_line and s3_calls move objects for everybody, under fedcore/exchange/s3.py;
    # s3_users.py makes users, for the coordinator alone.
    "boto3": ("fedcore/exchange/s3_line.py",),
    "botocore": (
        "fedcore/exchange/s3_line.py",
        "fedcore/exchange/s3_calls.py",
        "fedcore/exchange/s3_users.py",
    ),
    "pydicom": ("fedcore/data/",),
    "mlflow": ("tasks/tracking",),
    "prefect": ("flows/", "tasks/"),
}


def module_docstring(source: Source) -> Iterator[Finding]:
    """Every module opens with what the room is for."""
    if not ast.get_docstring(source.tree):
        yield Finding(source.path, 1, "the module does not open with a docstring")


def public_docstrings(source: Source) -> Iterator[Finding]:
    """Whatever others may call says what it does."""
    for node in _public(source.tree):
        if not ast.get_docstring(node):
            yield Finding(source.path, node.lineno, f"{node.name} is public, without a docstring")


def function_length(source: Source) -> Iterator[Finding]:
    """No function is longer than a page."""
    for function in functions(source.tree):
        lines = body_lines(function)
        if lines > LONGEST_FUNCTION:
            said = f"{function.name} has {lines} lines, more than {LONGEST_FUNCTION}"
            yield Finding(source.path, function.lineno, said)


def file_length(source: Source) -> Iterator[Finding]:
    """No file is longer than a few pages."""
    lines = len(source.text.splitlines())
    if lines > LONGEST_FILE:
        yield Finding(source.path, lines, f"the file has {lines} lines, more than {LONGEST_FILE}")


def one_door(source: Source) -> Iterator[Finding]:
    """A big library is imported in one place, so that it can be replaced in one place."""
    for line, name in imported_modules(source):
        library = name.split(".")[0]
        if library in DOORS and not source.path.startswith(DOORS[library]):
            yield Finding(source.path, line, f"{library} belongs to {' and '.join(DOORS[library])}")


def package_circles(found: list[Source]) -> list[list[str]]:
    """Groups of packages (`fedcore.data`, `tasks.party`, ...) that import one another."""
    edges: dict[str, set[str]] = {}
    for source in found:
        here = _package(source.module)
        for _, name in imported_modules(source):
            there = _package(name)
            if there != here and name.split(".")[0] in {"fedcore", "tasks", "flows"}:
                edges.setdefault(here, set()).add(there)
    reach = {package: _reachable(package, edges) for package in edges}
    circles = {
        frozenset(other for other in reach[package] if package in reach.get(other, set()))
        for package in edges
        if package in reach[package]
    }
    return sorted(sorted(circle) for circle in circles)


def _package(module: str) -> str:
    """The room that a module belongs to: the first two parts of its name."""
    return ".".join(module.split(".")[:2])


def _reachable(start: str, edges: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for following in edges.get(waiting.pop(), set()) - seen:
            seen.add(following)
            waiting.append(following)
    return seen


def _public(tree: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    """Functions and classes of a module and methods of its public classes, `_private` left out."""
    for node in tree.body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node)
