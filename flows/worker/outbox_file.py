"""The outbox on disk: items in order and marks of what was sent, one JSON object a line."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fedcore.audit.durable import replace_with
from flows.worker.dead_tasks import follow

Item = dict[str, Any]
RECENT = 500  # events that a server which is killed may have taken and not yet stored
COMPACT = 4 << 20  # bytes


class OutboxFile:
    """Appends as things happen; what is left of an earlier process is in `waiting`.

    `unfinished` holds the last event of each task run that has not come to an end, by its id.
    """

    def __init__(self, path: Path) -> None:
        """Read what is there and go on behind it."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.unfinished: dict[str, Item] = {}
        self.waiting, self.recent = self._replay(_lines(path))
        self._rewrite()

    def add(self, item: Item) -> None:
        """Note an item that is to be sent."""
        follow(self.unfinished, item)
        self._write(item)

    def sent(self, count: int) -> None:
        """Note that the first `count` of the waiting items were sent."""
        self._write({"sent": count})
        if self._file.tell() > COMPACT:
            self._file.close()
            self._rewrite()

    def remove(self) -> None:
        """Everything was sent."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _rewrite(self) -> None:
        """Begin the file anew with what still counts."""
        known = [{"unfinished": item} for item in self.unfinished.values()]
        lines = [*known, *self.recent, {"sent": len(self.recent)}, *self.waiting]
        replace_with(self._path, [f"{json.dumps(line)}\n".encode() for line in lines])
        self._file = self._path.open("a", encoding="utf-8")
        self._file.seek(0, os.SEEK_END)

    def _replay(self, lines: Iterable[Item]) -> tuple[deque[Item], deque[Item]]:
        waiting: deque[Item] = deque()
        recent: deque[Item] = deque(maxlen=RECENT)
        for line in lines:
            if "kind" in line:
                waiting.append(line)
            follow(self.unfinished, line.get("unfinished", line))
            for _ in range(min(int(line.get("sent", 0)), len(waiting))):
                item = waiting.popleft()
                if item["kind"] == "event":
                    recent.append(item)
        return waiting, recent

    def _write(self, line: Item) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def _lines(path: Path) -> Iterable[Item]:
    """The file's objects; a torn line is passed over."""
    if not path.exists():
        return
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            yield line
