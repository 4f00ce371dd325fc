"""Rules on conduct: what no line of the source does, and what no test does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from house_sources import Finding, Source, dotted

BROAD = {"Exception", "BaseException"}
CLOCKS = {"time.time", "time.monotonic", "time.perf_counter", "time.sleep"}
TODAY = re.compile(r"(datetime|date)\.(now|utcnow|today)$")
SEEDED = {"Generator", "default_rng", "SeedSequence", "Philox", "PCG64", "SFC64", "BitGenerator"}
# Documented for everybody, in spite of their names: namedtuple's methods and os._exit.
PUBLIC = {"_replace", "_asdict", "_fields", "_make", "_exit"}
# Files that may take one thing from the air, and why.
DOORS = {
    # The CUDA library reads the size of its workspace from the environment, and only from there.
    "fedcore/training/reproducible.py": {"os.environ"},
}
LAZY = re.compile(r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)$")


def broad_except(source: Source) -> Iterator[Finding]:
    """Only what is expected is caught."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(kind is None or dotted(kind) in BROAD for kind in kinds):
                yield Finding(source.path, node.lineno, "broad except: name what is expected")
        elif _suppresses_all(node):
            yield Finding(source.path, node.lineno, "broad suppress: name what is expected")


def printing(source: Source) -> Iterator[Finding]:
    """Only the terminal's own module prints."""
    if source.path == "flows/terminal.py":
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and dotted(node.func) == "print":
            yield Finding(source.path, node.lineno, "print belongs to flows/terminal.py")


def global_state(source: Source) -> Iterator[Finding]:
    """State is handed on, never kept in a module."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Global):
            yield Finding(source.path, node.lineno, f"global {', '.join(node.names)}")


def asserting(source: Source) -> Iterator[Finding]:
    """`assert` vanishes under -O: it belongs to tests alone."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assert):
            yield Finding(source.path, node.lineno, "assert outside tests: raise an error")


def private_reach(source: Source) -> Iterator[Finding]:
    """Nobody imports a `_name` or touches an `_attribute` that the same file does not define."""
    own = _own_privates(source.tree)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names] + (node.module or "").split(".")
            for name in filter(_is_private, names):
                yield Finding(source.path, node.lineno, f"imports the private {name}")
        elif isinstance(node, ast.Attribute) and not (_is_own(node) or node.attr in own):
            yield Finding(source.path, node.lineno, f"reaches into the private {node.attr}")


def out_of_the_air(source: Source) -> Iterator[Finding]:
    """Time, randomness and environment are handed in (a default `clock=time.time` hands it in)."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            if name in CLOCKS or TODAY.search(name):
                yield Finding(source.path, node.lineno, f"calls {name}(): hand the clock in")
            elif name.endswith("default_rng") and not node.args and not node.keywords:
                yield Finding(source.path, node.lineno, f"{name}() without a seed")
        elif isinstance(node, ast.Attribute):
            yield from _ambient(source, node)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from _ambient_import(source, node)


def waiting_by_the_clock(source: Source) -> Iterator[Finding]:
    """A test waits for a condition (in a `while` that looks again), never for time to pass."""
    loops = [node for node in ast.walk(source.tree) if isinstance(node, ast.While)]
    looking = {inner for loop in loops for inner in ast.walk(loop)}
    for node in set(ast.walk(source.tree)) - looking:
        if isinstance(node, ast.Call) and dotted(node.func) in {"time.sleep", "sleep"}:
            yield Finding(source.path, node.lineno, "sleeps: wait for the condition instead")


def left_out(source: Source) -> Iterator[Finding]:
    """A test that does not run proves nothing."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and LAZY.search(dotted(node)):
            yield Finding(source.path, node.lineno, f"{dotted(node)}: every test runs")


def _is_private(name: str) -> bool:
    return re.match(r"_[^_]", name) is not None and name not in PUBLIC


def _own_privates(tree: ast.Module) -> set[str]:
    """Private names that the file defines: functions, classes, fields, `self._x = ...`."""
    own: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
        elif isinstance(node, ast.Attribute) and dotted(node.value) in {"self", "cls"}:
            own.add(node.attr)
    return own


def _is_own(node: ast.Attribute) -> bool:
    return not _is_private(node.attr) or dotted(node.value) in {"self", "cls"}


def _suppresses_all(node: ast.AST) -> bool:
    """`contextlib.suppress(Exception)` is a broad except in other clothes."""
    if not isinstance(node, ast.Call) or not dotted(node.func).endswith("suppress"):
        return False
    return any(dotted(kind) in BROAD for kind in node.args)


def _ambient(source: Source, node: ast.Attribute) -> Iterator[Finding]:
    name = dotted(node)
    if name in {"os.environ", "os.getenv"} - DOORS.get(source.path, set()):
        yield Finding(source.path, node.lineno, f"reads {name}: hand the setting in")
    parts = name.split(".")
    drawn = len(parts) == 3 and parts[0] in {"np", "numpy"} and parts[1] == "random"
    if drawn and parts[2] not in SEEDED:
        yield Finding(source.path, node.lineno, f"{name}: hand a seeded generator in")


def _ambient_import(source: Source, node: ast.Import | ast.ImportFrom) -> Iterator[Finding]:
    names = {alias.name for alias in node.names}
    module = node.module if isinstance(node, ast.ImportFrom) else ""
    if module == "random" or (not module and "random" in names):
        yield Finding(source.path, node.lineno, "imports random: hand a seeded generator in")
    if module == "os" and names & {"environ", "getenv"}:
        yield Finding(source.path, node.lineno, "imports the environment: hand the setting in")
    if module == "time" and names & {"time", "sleep", "monotonic", "perf_counter"}:
        yield Finding(source.path, node.lineno, "imports a clock by name: hand the clock in")
