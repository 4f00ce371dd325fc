"""The rule on Prefect: no result is stored and no input is hashed, on every flow and task."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from house_sources import Finding, Source, dotted

UNCACHED = {"NO_CACHE", "None", "cache_policies.NO_CACHE"}


def nothing_is_stored(source: Source) -> Iterator[Finding]:
    """Prefect stores names alone: `persist_result=False`, and for tasks `cache_policy=NO_CACHE`."""
    names = _prefect_names(source.tree)
    excused: set[ast.AST] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            yield from _call(source, node, names, excused)
    for node in ast.walk(source.tree):
        if node in excused or not isinstance(node, ast.Name | ast.Attribute):
            continue
        if dotted(node) in names and isinstance(node.ctx, ast.Load):
            said = f"@{dotted(node)} without persist_result=False"
            yield Finding(source.path, node.lineno, said)


def _prefect_names(tree: ast.Module) -> dict[str, str]:
    """How this file calls Prefect's decorators: local name -> `flow` or `task`."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in {
            "prefect",
            "prefect.flows",
            "prefect.tasks",
        }:
            given = [(alias.asname or alias.name, alias.name) for alias in node.names]
            names |= {local: name for local, name in given if name in {"flow", "task"}}
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == "prefect":
                    local = alias.asname or "prefect"
                    names |= {f"{local}.{name}": name for name in ("flow", "task")}
    return names


def _call(
    source: Source, node: ast.Call, names: dict[str, str], excused: set[ast.AST]
) -> Iterator[Finding]:
    """Judge `task(...)` and `partial(task, ...)`, and any call that turns storing on again."""
    target = node.func
    if dotted(target).split(".")[-1] == "partial" and node.args:
        target = node.args[0]
    settings = {word.arg: ast.unparse(word.value) for word in node.keywords if word.arg}
    name = dotted(target)
    if name in names:
        excused.add(target)
        yield from _judge(source, node.lineno, name, names[name], settings)
    elif settings.get("persist_result") == "True":
        yield Finding(source.path, node.lineno, "persist_result=True: Prefect stores names alone")


def _judge(
    source: Source, line: int, name: str, kind: str, settings: dict[str, str]
) -> Iterator[Finding]:
    if settings.get("persist_result") != "False":
        yield Finding(source.path, line, f"@{name} without persist_result=False")
    if kind == "task" and settings.get("cache_policy") not in UNCACHED:
        yield Finding(source.path, line, f"@{name} without cache_policy=NO_CACHE")
    if "cache_key_fn" in settings or "result_storage" in settings:
        yield Finding(source.path, line, f"@{name} keeps results")
