"""`fedcore ledger export`: what left a party in a training, as one page or one table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fedcore.audit.durable import replace_with
from fedcore.errors import InputError, problem
from fedcore.explain.ledger_page import Departed, as_csv, as_page
from flows.cli_ledger import verified
from flows.ledger_compare import ask_exchange
from flows.ledger_place import RunFolder

KINDS = {".html": as_page, ".csv": as_csv}


def export(run: RunFolder, party: str | None, out: Path | None, say: Callable[[str], None]) -> Path:
    """Verify the party's ledger and write the page; raises `LedgerBroken` instead of a page."""
    path = run.ledger_of(party)
    owner = path.stem.removeprefix("party-")
    target = out or Path(f"left-{run.name}-{owner}.html")
    if target.suffix not in KINDS:
        raise InputError(problem("command line", "--out", str(target), "end it in .html or .csv"))
    entries, compared = verified(run, path, ask_exchange(run))
    story = Departed(run.name, owner, run.public_key(path.stem), entries, compared)
    replace_with(target, [KINDS[target.suffix](story).encode()])
    say(f"{target}: {len(entries)} entries verified, {compared}")
    return target
