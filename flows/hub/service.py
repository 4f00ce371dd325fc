"""What a service is: a command to keep running, and how to know that it can be used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import fedcore


def _nothing() -> None:
    """No preparation."""


@dataclass(frozen=True)
class Service:
    """One process of the hub.

    `probe` is asked with a word that is new at each start and says whether the service can really
    be used; it raises nothing. `prepare` is called before each start and may raise `FedcoreError`;
    `tidy` after it was ended.
    `after` names services that must answer first; `reads` files that are read at the start alone,
    such as certificates. Secrets belong into `environ` or files.
    """

    name: str
    command: tuple[str, ...]
    cwd: Path
    probe: Callable[[str], bool]
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    prepare: Callable[[], None] = _nothing
    tidy: Callable[[], None] = _nothing
    after: tuple[str, ...] = ()
    reads: tuple[Path, ...] = ()
    address: str = ""
    grace: float = 15.0

    @property
    def plan(self) -> str:
        """A fingerprint of how it is started: a living one with another plan is out of date."""
        contents = [_hash(path) for path in self.reads]
        start = [self.command, dict(self.environ), str(self.cwd), fedcore.__version__, contents]
        text = json.dumps(start, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
