"""The source tree as the rules of the house see it: parsed files, and findings with a place."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ("fedcore", "tasks", "flows")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


@dataclass(frozen=True)
class Source:
    """One file: its path from the root of the project, its text and its tree."""

    path: str
    text: str
    tree: ast.Module

    @classmethod
    def of(cls, path: str, text: str) -> Source:
        """Parse `text` as if it stood at `path`."""
        return cls(path, text, ast.parse(text, path))

    @property
    def module(self) -> str:
        """The dotted name under which the file is imported."""
        parts = self.path.removesuffix(".py").split("/")
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@dataclass(frozen=True)
class Finding:
    """One place where a rule is broken."""

    path: str
    line: int
    rule: str

    def __str__(self) -> str:
        """As an editor can follow it."""
        return f"{self.path}:{self.line}: {self.rule}"


Rule = Callable[[Source], Iterator[Finding]]


def sources(*folders: str) -> list[Source]:
    """Every Python file under the given folders of the project, sorted by path."""
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return [Source.of(str(path.relative_to(ROOT)), path.read_text("utf-8")) for path in paths]


def texts() -> list[tuple[str, str]]:
    """Path and text of every file that a person reads; the rules' own room quotes what is bad."""
    folders = ("fedcore", "tasks", "flows", "tests", "docs", "configs", "deployments", ".ci")
    kinds = {".py", ".md", ".yaml", ".yml", ".json", ".toml", ".service", ".sh", ".txt", ""}
    found = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    found += list(ROOT.glob("*")) + list(ROOT.glob(".*"))
    files = sorted(path for path in found if path.is_file() and path.suffix in kinds)
    shown = [path for path in files if path.name not in {"LICENSE", ".coverage", ".git"}]
    named = [(str(path.relative_to(ROOT)), path) for path in shown]
    kept = [(name, path) for name, path in named if not name.startswith("tests/house/")]
    return [(name, path.read_text("utf-8", "replace")) for name, path in kept]


def functions(tree: ast.AST) -> Iterator[Function]:
    """Every function and method, nested ones, too."""
    return (
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def body_lines(function: Function) -> int:
    """Lines from the first statement after the docstring to the last; 0 for a docstring alone."""
    body = function.body
    if ast.get_docstring(function, clean=False) is not None:
        body = body[1:]
    if not body:
        return 0
    return (body[-1].end_lineno or body[-1].lineno) - body[0].lineno + 1


def dotted(node: ast.AST) -> str:
    """`a.b.c` for a chain of names, an empty text for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def imported_modules(source: Source) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything that a file imports, relative imports resolved."""
    package = source.module.split(".")
    if not source.path.endswith("__init__.py"):
        package = package[:-1]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, node.module] if node.module else base)
            yield from ((node.lineno, f"{start}.{alias.name}") for alias in node.names)


def shown(findings: list[Finding]) -> str:
    """All findings, one a line, for the message of a failing test."""
    return "\n" + "\n".join(str(finding) for finding in findings)
