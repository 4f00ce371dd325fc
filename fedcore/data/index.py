"""What is already known of a folder's files, so that a restart reads nothing twice.

A small SQLite file in the state folder: (relative path, size, modification time) -> content hash,
and content hash -> verdict. SQLite keeps it whole under `kill -9` and with two processes at once; a
damaged index is thrown away, since everything in it can be found again from the files.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fedcore.data.facts import Verdict
from fedcore.errors import DataError

_SCHEMA = """
create table if not exists seen (root text, path text, size integer, mtime_ns integer,
    content text not null, primary key (root, path)) without rowid;
create table if not exists verdict (content text, rule text, verdict text not null,
    primary key (content, rule)) without rowid;
"""
_WAIT = 60.0  # seconds for the other process's transaction


@dataclass(frozen=True)
class FileId:
    """One file as the folder lists it: path relative to the data folder, bytes, time in ns."""

    path: str
    size: int
    mtime_ns: int


class Index:
    """The index of one data folder (`root`) under one decoding `rule`."""

    def __init__(self, connection: sqlite3.Connection, root: str, rule: str) -> None:
        """Use an open connection; `open_index` makes one."""
        self._db = connection
        self._root = root
        self._rule = rule
        self._seen: list[tuple[str, str, int, int, str]] = []
        self._verdicts: list[tuple[str, str, str]] = []

    def content_of(self, file: FileId) -> str | None:
        """The file's content hash, if size and modification time are as they were."""
        found = self._db.execute(
            "select content from seen where root=? and path=? and size=? and mtime_ns=?",
            (self._root, file.path, file.size, file.mtime_ns),
        ).fetchone()
        return str(found[0]) if found else None

    def verdict_on(self, content: str) -> Verdict | None:
        """The remembered verdict on a content, None if there is none that can be read."""
        found = self._db.execute(
            "select verdict from verdict where content=? and rule=?", (content, self._rule)
        ).fetchone()
        try:
            return Verdict.from_json(found[0]) if found else None
        except (ValueError, KeyError, TypeError):
            return None

    def remember(self, file: FileId, content: str, verdict: Verdict | None) -> None:
        """Note one file's content hash and, unless it is known, its verdict, for `commit`."""
        self._seen.append((self._root, file.path, file.size, file.mtime_ns, content))
        if verdict is not None:
            self._verdicts.append((content, self._rule, verdict.to_json()))

    def commit(self) -> None:
        """Make everything remembered so far lasting, in one short transaction."""
        with self._db:
            self._db.executemany("insert or replace into seen values (?,?,?,?,?)", self._seen)
            self._db.executemany("insert or replace into verdict values (?,?,?)", self._verdicts)
        self._seen.clear()
        self._verdicts.clear()


@contextmanager
def open_index(path: Path, root: str, rule: str) -> Iterator[Index]:
    """Open or create the index file for a data folder; a damaged one is begun anew."""
    connection = _connect(path)
    try:
        yield Index(connection, root, rule)
    finally:
        connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _opened(path)
    except sqlite3.OperationalError:
        # Locked or not writable: throwing the index away would not help.
        remedy = "free the disk or end the other process"
        raise DataError(f"{path.name}: the index of the data cannot be used: {remedy}") from None
    except sqlite3.DatabaseError:
        for suffix in ("", "-journal", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return _opened(path)


def _opened(path: Path) -> sqlite3.Connection:
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    os.close(descriptor)
    connection = sqlite3.connect(path, timeout=_WAIT)
    try:
        connection.executescript(_SCHEMA)
        broken = connection.execute("pragma quick_check").fetchone()[0] != "ok"
    except sqlite3.DatabaseError:
        connection.close()
        raise
    if broken:
        connection.close()
        raise sqlite3.DatabaseError("quick_check")
    return connection
