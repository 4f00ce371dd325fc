"""`fedcore ledger`: verify and read what the seats of this machine have written down."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fedcore.audit.entry import Entry, Head
from fedcore.audit.ledger import verify
from fedcore.audit.signing import SigningKey
from fedcore.errors import InputError, LedgerBroken, nearest, problem
from flows.cli_screen import Screen
from flows.launch import STATE

BROKEN = 1
HEADS = "ledger-heads.json"
COORDINATOR_HEAD = "coordinator/artifacts/ledger-head.json"


@dataclass(frozen=True)
class RunFolder:
    """A run's working folder on this machine, inside the output folder of its training."""

    output: Path
    name: str

    @property
    def path(self) -> Path:
        """Where the run's own files lie."""
        return self.output / STATE / "runs" / self.name

    def ledgers(self) -> list[Path]:
        """The run's ledger files, sorted; raises `InputError` when there are none."""
        found = sorted((self.path / "ledger").glob("*.jsonl"))
        if not found:
            raise InputError(f"{self.path}: the run has no ledger here: name another run")
        return found

    def public_key(self, owner: str) -> str:
        """The public key of the ledger's owner; raises `InputError`."""
        return SigningKey.load(self.output / STATE / "keys" / f"{owner}.key").public


def find_run(output: Path, name: str | None) -> RunFolder:
    """The run of that name, or the only one; raises `InputError`."""
    folder = output / STATE / "runs"
    known = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if not known:
        raise InputError(f"{output}: no run was ever here: name a training's folder with --output")
    if name is None and len(known) > 1:
        raise InputError(f"{output}: it holds several runs: name one: {', '.join(known)}")
    if name is not None and name not in known:
        raise InputError(problem(output, "run", name, nearest(name, known)))
    return RunFolder(output, name or known[0])


def verify_all(run: RunFolder, screen: Screen) -> int:
    """Verify every ledger of the run and say how each is; 0, or 1 if one is broken."""
    broken = 0
    for path in run.ledgers():
        try:
            entries = _verified(run, path)
        except LedgerBroken as fault:
            broken = BROKEN
            screen.mark(False, "broken", f"{path.stem}: {fault}")
        else:
            screen.mark(True, "ok", f"{path.stem}: {len(entries)} entries, {_head(entries)}")
    return broken


def show_all(run: RunFolder, screen: Screen) -> int:
    """Print every ledger of the run that verifies, up to the first bad entry; 0, or 1."""
    broken = 0
    for path in run.ledgers():
        screen.title(path.stem)
        try:
            entries = _verified(run, path)
        except LedgerBroken as fault:
            broken = BROKEN
            screen.mark(False, "broken", f"{path.stem}: {fault}")
        else:
            for entry in entries:
                screen.say(entry.describe())
    return broken


def _verified(run: RunFolder, path: Path) -> list[Entry]:
    public = run.public_key(path.stem)
    entries = verify(path, public)
    for head in _known_heads(run, path.stem):
        if not _of_another_run(run, path, head):
            verify((entry.line for entry in entries), public, head)
    return entries


def _head(entries: list[Entry]) -> str:
    return f"head {entries[-1].head.hash[:12]}" if entries else "nothing written yet"


def _known_heads(run: RunFolder, owner: str) -> Iterator[Head]:
    """What was published of the ledger's end: beside the results, and in the tracking artifacts."""
    heads = _read(run.output / HEADS)
    if owner in heads:
        yield _as_head(run.output / HEADS, heads[owner])
    path = run.path / COORDINATOR_HEAD
    if owner == "coordinator" and path.exists():
        yield _as_head(path, _read(path))


def _of_another_run(run: RunFolder, path: Path, head: Head) -> bool:
    """Whether the head stands in the same owner's ledger of another run of this output folder.

    The heads beside the results are those of the training that finished last.
    """
    others = (run.output / STATE / "runs").glob(f"*/ledger/{path.name}")
    return any(_holds(other, head) for other in others if other != path)


def _holds(path: Path, head: Head) -> bool:
    lines = path.read_bytes().split(b"\n")
    return any(hashlib.sha256(line).hexdigest() == head.hash for line in lines)


def _read(path: Path) -> dict[str, object]:
    """The JSON object in a file; empty where there is no file."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise InputError(f"{path}: it is no JSON object: restore it from the training's results")
    return content


def _as_head(path: Path, value: object) -> Head:
    if isinstance(value, dict):
        index, digest = value.get("index"), value.get("hash")
        if isinstance(index, int) and isinstance(digest, str):
            return Head(index, digest)
    raise InputError(f"{path}: a ledger's head has no index and hash: restore the file")
