"""`fedcore ledger`: verify and read what the seats of this machine have written down."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from fedcore.audit.entry import Entry, Head
from fedcore.audit.ledger import verify
from fedcore.errors import InputError, LedgerBroken
from flows.cli_screen import Screen
from flows.ledger_compare import Known, ask_exchange, compare
from flows.ledger_place import RunFolder

BROKEN = 1
HEADS = "ledger-heads.json"
COORDINATOR_HEAD = "coordinator/artifacts/ledger-head.json"


def verify_all(run: RunFolder, screen: Screen) -> int:
    """Verify every ledger of the run and say how each is; 0, or 1 if one is broken."""
    broken, known = 0, ask_exchange(run)
    for path in run.ledgers():
        try:
            entries, compared = verified(run, path, known)
        except LedgerBroken as fault:
            broken = BROKEN
            screen.mark(False, "broken", f"{path.stem}: {fault}")
        else:
            said = f"{path.stem}: {len(entries)} entries, {_head(entries)}, {compared}"
            screen.mark(True, "ok", said)
    if known.silent:
        screen.say(f"the heads in the exchange were not compared: {known.silent}")
    return broken


def show_all(run: RunFolder, screen: Screen) -> int:
    """Print every ledger of the run that verifies, up to the first bad entry; 0, or 1."""
    broken, known = 0, ask_exchange(run)
    for path in run.ledgers():
        screen.title(path.stem)
        try:
            entries, _ = verified(run, path, known)
        except LedgerBroken as fault:
            broken = BROKEN
            screen.mark(False, "broken", f"{path.stem}: {fault}")
        else:
            for entry in entries:
                screen.say(entry.describe())
    return broken


def verified(run: RunFolder, path: Path, known: Known) -> tuple[list[Entry], str]:
    """The entries of a ledger that holds against all that is known of it, and what that was.

    Raises `LedgerBroken` with the index of the first entry that fails.
    """
    public = run.public_key(path.stem)
    entries = verify(path, public)
    for head in _known_heads(run, path.stem):
        if not _of_another_run(run, path, head):
            verify((entry.line for entry in entries), public, head)
    return entries, compare(run, path.stem, entries, known)


def _head(entries: list[Entry]) -> str:
    return f"head {entries[-1].head.hash[:12]}" if entries else "nothing written yet"


def _known_heads(run: RunFolder, owner: str) -> Iterator[Head]:
    """What was published of the ledger's end: beside the results, and in the tracking artifacts."""
    for path in (run.place.results / HEADS, run.path / "output" / HEADS):
        heads = _read(path)
        if owner in heads:
            yield _as_head(path, heads[owner])
    path = run.path / COORDINATOR_HEAD
    if owner == "coordinator" and path.exists():
        yield _as_head(path, _read(path))


def _of_another_run(run: RunFolder, path: Path, head: Head) -> bool:
    """Whether the head stands in the same owner's ledger of another run of this folder.

    The heads beside the results are those of the training that finished last.
    """
    others = (run.place.state / "runs").glob(f"*/ledger/{path.name}")
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
