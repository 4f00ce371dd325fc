"""What a flow process has to tell Prefect besides states: kept until Prefect has taken it.

Prefect's own senders lose events and log lines while its server is away. Here they wait in order,
on disk as well, so that a process that is killed leaves them to the next one. Events are sent
again after every absence: the server keeps each once, by its id.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.events import Event

from flows.worker.brevity import brief
from flows.worker.dead_tasks import crashed
from flows.worker.outbox_file import Item, OutboxFile

BATCH = 100
LINGER = 4.0  # seconds that the first item waits for others: one request serves them all
PAUSE = 5.0
ROUTES: dict[str, Literal["/events", "/logs/"]] = {"event": "/events", "log": "/logs/"}
LATER = frozenset({401, 408, 429})  # not its time, or not its credentials: to be tried again


class Outbox:
    """Takes events and log lines from any thread, sends them from its own."""

    def __init__(
        self,
        path: Path,
        connect: Callable[[Callable[[str], None]], SyncPrefectClient],
        scrub: Callable[[Item], Item | None] = lambda item: item,
        heard: Callable[[Event], None] = lambda _: None,
    ) -> None:
        """Begin with what `path` still holds; `connect` opens a line that waits out absences.

        `scrub` changes an item before it is kept, or drops it; `heard` is told of every event.
        """
        self._file, self._scrub, self._heard = OutboxFile(path), scrub, heard
        self._changed = threading.Condition()
        self._again, self._closing = bool(self._file.recent), False
        self._end_what_died()
        self._api = connect(self._was_away)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _end_what_died(self) -> None:
        """Whatever an earlier process of this flow run had begun has died with it."""
        now = datetime.datetime.now(datetime.UTC)
        for item in list(self._file.unfinished.values()):
            self._keep(crashed(item, uuid4(), now))

    def put(self, item: tuple[str, Any]) -> None:
        """Take an event, as `ProcessPoolForwardingEventsClient` hands it on."""
        event = item[1]
        self._heard(event)
        self._keep({"kind": "event", "body": event.model_dump(mode="json")})

    def log(self, line: dict[str, Any]) -> None:
        """Take a log line, as `set_api_log_sink` hands it on."""
        body = {name: value for name, value in line.items() if name != "__payload_size__"}
        self._keep({"kind": "log", "body": body})

    def close(self, timeout: float | None = None) -> bool:
        """Wait until Prefect has all of it; whether it has."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout)
        done = not self._thread.is_alive()
        if done:
            self._file.remove()
        return done

    def _keep(self, item: Item) -> None:
        scrubbed = self._scrub(item)
        if scrubbed is None:
            return
        with self._changed:
            if not self._closing:
                self._file.waiting.append(scrubbed)
                self._file.add(scrubbed)
                self._changed.notify_all()

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            told = brief(batch)
            for kind in ROUTES:
                self._send([item for item in told if item["kind"] == kind])
            with self._changed:
                for _ in batch:
                    self._file.waiting.popleft()
                self._file.recent.extend(item for item in batch if item["kind"] == "event")
                self._file.sent(len(batch))

    def _next(self) -> list[Item] | None:
        """The next items; `None` once all are sent and the outbox is closing."""
        with self._changed:
            self._repeat_recent()
            waiting = self._file.waiting
            self._changed.wait_for(lambda: waiting or self._closing)
            self._changed.wait_for(lambda: len(waiting) >= BATCH or self._closing, LINGER)
            return list(islice(waiting, BATCH)) or None

    def _repeat_recent(self) -> None:
        """After an absence: what was sent shortly before it may not have been stored."""
        if self._again:
            self._again = False
            again = list(self._file.recent)
            self._file.recent.clear()
            self._file.waiting.extendleft(reversed(again))

    def _send(self, batch: list[Item]) -> None:
        """Send items of one kind; what is not taken as a whole one by one, without the refused."""
        route = ROUTES[batch[0]["kind"]] if batch else None
        while route is not None:
            try:
                self._api.request("POST", route, json=[item["body"] for item in batch])
            except httpx.HTTPStatusError as refused:
                code = refused.response.status_code
                if code in LATER or code >= 500:
                    threading.Event().wait(PAUSE)
                    continue
                for item in batch if len(batch) > 1 else ():
                    self._send([item])
            return

    def _was_away(self, _: str) -> None:
        self._again = True
